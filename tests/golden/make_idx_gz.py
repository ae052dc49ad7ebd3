"""gzip'd IDX files as C arrays, written to idx_gz.h: what gzip makes of one of six bytes, and of one of a million zeros."""
import gzip


def array(name, data):
    rows = ["    " + ", ".join("%d" % b for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    return "static const unsigned char %s[] = {\n%s\n};\n" % (name, ",\n".join(rows))


small = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 250, 251, 252])
zeros = bytes([0, 0, 8, 2, 0, 0, 3, 232, 0, 0, 3, 232]) + bytes(1000000)
with open(__file__.replace("make_idx_gz.py", "idx_gz.h"), "w") as out:
    out.write("/* Made by make_idx_gz.py. */\n")
    out.write(array("packed", gzip.compress(small, 9, mtime=0)))
    out.write(array("packed_zeros", gzip.compress(zeros, 9, mtime=0)))
