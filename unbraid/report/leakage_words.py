"""The fixed words of the leakage page: headings, what each section shows, and how to read it."""

# section -> heading, and what it shows; in the order of the page
SECTIONS: dict[str, tuple[str, str]] = {
    "short": (
        "In short",
        "What a probe could read from each space, strongest first, in per cent (R² for measures), with the 95 % "
        "interval. Tied: the data tie this label to another one, which may be what is read.",
    ),
    "differences": (
        "Where they differ",
        "The strongest probe of each checkpoint, where one is known and the two 95 % intervals do not meet. This is a "
        "strict rule: smaller differences may be there too.",
    ),
    "matrix": (
        "What can be read",
        "Each cell: the strongest probe for a label, tested on people it never saw (for identity itself: on other "
        "items of the same people). A space may know what it is for: the colour says how much is known, not whether it "
        "should be.",
    ),
    "search": (
        "What a search finds",
        "How often the nearest item shares a label with the query, in per cent. No probe is trained: this is what a "
        "user of the space gets.",
    ),
    "counterfactual": (
        "What moves it",
        "The same rendered scene with one thing changed: how far the features move, as a multiple of putting another "
        "person there. 0: not at all; 1: as far as another person. Nothing is tied to anything here, so this "
        "shows a cause.",
    ),
    "dependence": (
        "What spaces share",
        "Linear CKA: 1 when two spaces are the same up to rotation, about its chance value when they share nothing. p: "
        "how often dealing whole people anew gives as much.",
    ),
    "factors": (
        "One space for each factor?",
        "Importance: how much trees that see all spaces rely on each one for a factor. 1 for every score means one "
        "space for each factor and one factor for each space.",
    ),
    "examples": ("Examples", ""),
    "warnings": ("Before you believe it", ""),
    "probes": ("Every probe", "All numbers behind the table of what can be read."),
    "provenance": ("Provenance", ""),
    "reading": ("How to read this page", ""),
    "responsible": ("Responsible use", ""),
}

GUIDE: tuple[tuple[str, str], ...] = (
    (
        "known",
        "The score is at least three standard errors above chance. The label can be read from the space, at least so "
        "well.",
    ),
    ("weak sign", "The 95 % interval is above chance, but by less than that: among many numbers some are so by luck."),
    (
        "no sign",
        "The interval holds chance. That is no proof of absence: a better reader or more people might find something. "
        "The upper end of the interval says how much at most this reader finds.",
    ),
    ("no claim", "Too few people or values for a number; the reason is under Before you believe it."),
    (
        "score",
        "Balanced accuracy: every value of a label counts the same, whatever its number of items. R² for measures: 0 "
        "is nothing, 1 everything. Rank-1 for nearest items.",
    ),
    (
        "probe",
        "Linear: logistic regression. Hidden layer: a small network. Neighbours: the nearest training items. Nearest "
        "item: no training, the most similar other item.",
    ),
    ("interval", "Drawing the tested people again gives values in this range 95 times in 100."),
    ("chance", "What guessing gives. A number means little without it."),
    ("shuffled", "The same probe after the values were dealt anew: what it finds where there is nothing to find."),
    ("bits", "Usable information: 0 is nothing, 1 bit halves the possibilities; below 0 the probe misleads."),
    ("CKA", "Centred kernel alignment of two spaces. Not 0 even for unrelated ones; compare it with its chance value."),
    (
        "p, same identity",
        "How often dealing items anew among those of the same person gives as much: small when two spaces share more "
        "than who someone is.",
    ),
    (
        "smallest angle",
        "Between what linear readers can make of two spaces: 0° when some score can be read from both, 90° when none.",
    ),
    (
        "DCI, MIG, SAP",
        "Disentanglement: does a space speak of one factor? Completeness: is a factor in one space? Informativeness: "
        "how well factors are read from all spaces. MIG and SAP: by how much the best space for a factor leads.",
    ),
    ("numbers", "The JSON file beside this page has all digits."),
)
