"""The page's fixed words: how to read it, and what it must not be used for."""

# (what must be on the page for the entry to appear, word, explanation)
READING: tuple[tuple[str, str, str], ...] = (
    ("results", "query, gallery", "A query is compared with every gallery item; the most similar one gets rank 1."),
    (
        "results",
        "hit, skip",
        "The protocol says which gallery items count as found (hit) and which are not looked at (skip).",
    ),
    (
        "results",
        "mate",
        "A gallery item that is a hit and not skipped. Queries without one leave every mean; their number is shown.",
    ),
    ("results", "rank-k", "Share of queries with a hit among the first k items."),
    ("results", "mAP", "Mean over queries of average precision: high when all hits come early, not only the first."),
    (
        "results",
        "mINP",
        "Mean over queries of the number of hits divided by the rank of the last one: how deep one must look "
        "to find all.",
    ),
    (
        "results",
        "interval",
        "Drawing the query people again, with the gallery held fixed, gives values in this range 95 times in 100.",
    ),
    (
        "results",
        "chance",
        "The expected value if every gallery were in random order. A number means little without it.",
    ),
    (
        "results",
        "TAR, FAR",
        "Two tracklets are taken for one person when their score is at least a threshold. TAR: share of pairs of one "
        "person so taken. FAR (or FMR): share of pairs of different people. FNMR is 1 - TAR.",
    ),
    (
        "results",
        "FNIR, FPIR",
        "Looking for people who may not be there. FNIR: share of searches that miss someone who is. FPIR: share of "
        "searches for strangers that name anyone. Mates removed: each query searched once more without its mates.",
    ),
    (
        "results",
        "not reported",
        "A rate needs about ten errors to be more than luck; where the data cannot hold that many, no number is given.",
    ),
    ("results", "distractor", "A gallery item whose identity is unknown; it is never a hit."),
    (
        "leakage",
        "leakage",
        "How well a simple probe reads a label from a space, tested on people it was not trained on. Identity is "
        "asked for in other cameras, and in other clothes where people have several. What a space should not know "
        "should be near chance.",
    ),
    (
        "leakage",
        "shuffled",
        "The same probe after mixing up the labels: what it finds where there is nothing to find.",
    ),
    (
        "leakage",
        "balanced accuracy",
        "Mean over classes of the share read right, so that a common class does not hide the rare ones.",
    ),
    (
        "leakage",
        "bits",
        "Usable information: how much the probe's uncertainty about an item falls when it sees the features. 1 bit "
        "halves the possibilities, 0 is nothing, below 0 the probe misleads.",
    ),
    (
        "scatter",
        "two dimensions",
        "A flat shadow of a space with many dimensions: groups that overlap here may be apart in it.",
    ),
    ("heat", "heat map", "Where features of a space come from. It shows correlation, not a reason."),
    ("checks", "checks", "Numbers that can be judged without knowing who anybody is."),
    ("always", "numbers", "Percentages have one decimal; the JSON file beside this page has all digits."),
)

RESPONSIBLE: tuple[str, ...] = (
    "Features that recognise people are biometric data. In many places the law allows their use only with"
    " a legal basis, often only with the consent of the person, and forbids some uses altogether. Find "
    "out before you process anyone.",
    "This page is meant for research and for testing: to compare methods and to see what their features "
    "hold. It is not evidence about a single person, and a match is a hint for a human to check, never a "
    "decision.",
    "The numbers hold for the data named above and nothing else. Other cameras, places, seasons, clothes,"
    " ages, builds and ways of moving can change them much, and unequally for different groups of people."
    " Measure on your own data first.",
    "Keep what shows or describes people only as long as it is needed, protect it, and delete it when somebody asks.",
)
