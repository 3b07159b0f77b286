"""LZF, the compression inside .pcd files, undone."""


def decompress(packed: bytes, size: int) -> bytes:
    """The `size` bytes that a block of LZF stands for.

    A block is a row of instructions. A byte below 32 says how many bytes to take as they come, less one. Any other
    holds in its upper three bits the length of a copy, less two (7: the next byte is added), and in the lower five the
    upper bits of how far back in the output the copy begins, less one; one more byte has the lower bits.

    Raises ValueError when the block ends early, points before the beginning, or holds more or less than `size` bytes.
    Source: the format of Marc Lehmann's LibLZF, as point cloud files use it.
    """
    out = bytearray()
    at, end = 0, len(packed)
    while at < end:
        control = packed[at]
        at += 1
        if control < 32:
            stop = at + control + 1
            if stop > end:
                raise ValueError("its compressed block ends within a run of plain bytes")
            out += packed[at:stop]
            at = stop
        else:
            length = control >> 5
            if at + (length == 7) >= end:
                raise ValueError("its compressed block ends within a copy")
            if length == 7:
                length += packed[at]
                at += 1
            begin = len(out) - ((control & 31) << 8) - packed[at] - 1
            at += 1
            length += 2
            if begin < 0:
                raise ValueError("its compressed block copies from before its beginning")
            # a copy may reach into what it is just writing: then it repeats
            part = out[begin : begin + length]
            out += (part * (length // len(part) + 1))[:length]
        if len(out) > size:
            raise ValueError(f"its compressed block holds more than the {size} bytes that were declared")
    if len(out) != size:
        raise ValueError(f"its compressed block holds {len(out)} bytes, but {size} were declared")
    return bytes(out)
