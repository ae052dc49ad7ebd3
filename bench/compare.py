#!/usr/bin/env python3
"""Pleat against PyTorch, case by case and side by side. The repository's one command for its performance numbers:

    python3 bench/compare.py --python /path/to/a/python/with/torch --markdown docs/performance-table.md

Both programs run all the time and wait for each other; for each case they take turns, round by round, so that a noisy
machine is as noisy for the one as for the other. Ratios above 1: Pleat is so many times faster. PyTorch's time is that
of its better memory format, contiguous or channels_last. Plain Python, no packages.
"""
import argparse
import collections
import math
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Program:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command + ['--stdin'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        universal_newlines=True, env=environment)
        self.columns = self.process.stdout.readline().strip().split(',')

    def ask(self, name):
        """One round of a case: its rows."""
        time.sleep(0.02)  # the other program's threads wait for work for some milliseconds, on these same cores
        self.process.stdin.write(name + '\n')
        self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            if not line.strip():
                return rows
            rows.append(dict(zip(self.columns, line.strip().split(','))))
        sys.exit('compare.py: %s ended' % ' '.join(self.process.args))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def cases_of(command, pattern, environment):
    return subprocess.run(command + ['--list', '--filter', pattern], stdout=subprocess.PIPE, check=True,
                          universal_newlines=True, env=environment).stdout.split('\n')[:-1]


def number(row, column):
    return float(row[column]) if row.get(column) else None


def middle(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


class Times:
    """What the rounds of one case on so many threads gave."""

    def __init__(self):
        self.rows = []

    def add(self, row):
        self.rows.append(row)

    def of(self, column):
        return middle([number(r, column) for r in self.rows])


def channels_last(name):
    """The same case in PyTorch's other memory format: conv2d.fwd,x -> conv2d_cl.fwd,x."""
    op, case = name.split(',')
    stem, dot, way = op.partition('.')
    return stem + '_cl' + dot + way + ',' + case


def measure(options, environment):
    common = ['--threads', options.threads, '--min-time', str(options.min_time), '--rounds', str(options.rounds)]
    ours, peer = [options.bench], [options.python, os.path.join(HERE, 'peer_torch.py')]
    names = cases_of(ours, options.filter, environment)
    known = set(cases_of(peer, '', environment))
    ours, peer = Program(ours + common, environment), Program(peer + common, environment)
    results = {}  # name: {threads: (Pleat's Times, {PyTorch's format: Times})}
    for i, name in enumerate(names):
        if sys.stderr.isatty():
            print('\r%d/%d %-90s' % (i + 1, len(names), name), end='', file=sys.stderr, flush=True)
        result = results[name] = collections.defaultdict(lambda: (Times(), collections.defaultdict(Times)))
        formats = [n for n in (name, channels_last(name)) if n in known]
        for _ in range(options.rounds):
            for row in ours.ask(name):
                result[int(row['threads'])][0].add(row)
            for other in formats:
                for row in peer.ask(other):
                    result[int(row['threads'])][1][other].add(row)
    if sys.stderr.isatty():
        print('\r%100s\r' % '', end='', file=sys.stderr)
    ours.end()
    peer.end()
    return results


# ---- Tables ----

GROUPS = [  # title, ops
    ('Matrix products', ('gemm', 'bmm', 'linear')),
    ('Convolution, forward', ('conv2d.fwd',)),
    ('Convolution, with gradients', ('conv2d.fwdbwd',)),
    ('Transposed convolution', ('conv_transpose2d',)),
    ('unfold and fold', ('unfold', 'fold')),
    ('Pointwise', ('relu', 'sigmoid', 'tanh', 'exp', 'add', 'mul', 'add_bcast_c', 'add_row', 'mul_nhwc', 'log', 'sqrt',
                   'rsqrt', 'reciprocal', 'pow', 'abs', 'round', 'clamp', 'sin', 'cos', 'erf', 'maximum', 'lt', 'where',
                   'where_zero', 'leaky_relu', 'elu', 'silu', 'gelu', 'gelu_tanh', 'mish', 'softplus', 'logsigmoid',
                   'hardswish', 'cast', 'dropout')),
    ('Shapes and copies', ('transpose_copy', 'transpose_hw', 'cat', 'cat_w', 'stack', 'repeat', 'pad', 'flip_w',
                           'flip_n', 'roll_h', 'index_select', 'embedding', 'pixel_shuffle', 'pixel_unshuffle')),
    ('Reductions', ('sum', 'mean_hw', 'sum_nhw', 'mean_w', 'amax_c', 'amax_w', 'max_c', 'argmax_c', 'argmax_w', 'prod_w',
                    'var_nhw', 'std_w', 'norm', 'logsumexp_c', 'logsumexp_w', 'sort', 'topk', 'cumsum_c', 'cumsum_w')),
    ('Pooling, other sizes, normalisation', ('max_pool2d', 'avg_pool2d', 'adaptive_avg_pool2d', 'nearest', 'bilinear',
                                             'batch_norm', 'layer_norm', 'group_norm')),
    ('Softmax and losses', ('softmax', 'log_softmax', 'cross_entropy', 'softmax_c', 'softmax_w', 'mse_loss', 'l1_loss',
                            'huber_loss', 'smooth_l1_loss', 'bce', 'bce_with_logits')),
    ('Differentiated twice', ('.twice',)),
    ('Cost of a call', ('chain1000', 'call')),
    ('Training steps', ('train',)),
    ('Networks in use', ('infer',)),
    ('Optimizers', ('optimizer',)),
]


def group_of(name):
    op = name.split(',')[0]
    names = {'.twice'} if op.endswith('.twice') else {op, op.split('.')[0]}
    return next((title for title, ops in GROUPS if names & set(ops)), None)


class Pair:
    """Pleat and PyTorch on one case and thread count."""

    def __init__(self, name, threads, ours, formats):
        self.name, self.threads, self.ours = name, threads, ours
        # the better format by its median; a fair winner, as it is chosen from all rounds
        times = [(t.of('median_ms'), t) for t in formats.values()]
        self.peer_ms, self.peer = min(times, key=lambda pair: pair[0]) if times else (None, None)
        self.ours_ms = ours.of('median_ms')
        self.ratio = self.peer_ms / self.ours_ms if times else None

    def rate(self):
        gflops, share, gbps = (self.ours.of(c) for c in ('gflops', 'peak_percent', 'gbps'))
        return '%.0f GF (%.0f%%)' % (gflops, share) if gflops else '%.1f GB/s' % gbps if gbps else ''


def mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def text(value, form):
    return '' if value is None else form % value


def milliseconds(value):
    return '' if value is None else '%.3g' % value if value < 100 else '%.0f' % value


def row(cells):
    return '| ' + ' | '.join(cells) + ' |'


def header(cells):
    return [row(cells), row(['---'] + ['---:'] * (len(cells) - 1))]


def summary(pairs, threads):
    """A line a group: how many times faster than PyTorch, geometric mean and worst case."""
    lines = header(['group', 'cases'] + ['mean, %dT' % t for t in threads] + ['worst'])
    for title in [t for t, _ in GROUPS] + ['All']:
        group = [p for p in pairs if p.ratio and title in (group_of(p.name), 'All')]
        if not group:
            continue
        worst = min(group, key=lambda p: p.ratio)
        lines.append(row([title, str(len({p.name for p in group}))]
                         + [text(mean([p.ratio for p in group if p.threads == t]), '%.2f') for t in threads]
                         + ['%.2f (%s, %dT)' % (worst.ratio, worst.name.replace(',', ' '), worst.threads)]))
    return lines


def details(pairs, threads):
    lines = []
    for title, _ in GROUPS:
        names = list(dict.fromkeys(p.name for p in pairs if group_of(p.name) == title))
        if not names:
            continue
        lines += ['', '### ' + title, '']
        lines += header(['case'] + [c for t in threads for c in
                                    ('Pleat %dT, ms' % t, 'PyTorch %dT, ms' % t, 'ratio', 'Pleat reaches')])
        for name in names:
            cells = [name.replace(',', ' ')]
            for t in threads:
                p = next(p for p in pairs if p.name == name and p.threads == t)
                cells += [milliseconds(p.ours_ms), milliseconds(p.peer_ms), text(p.ratio, '%.2f'), p.rate()]
            lines.append(row(cells))
    return lines


def limits(pairs):
    lines = header(['limit', 'threads', 'reached'])
    for p in pairs:
        if p.name.startswith('limit.'):
            gflops = p.ours.of('gflops')
            lines.append(row([p.name.replace(',', ' '), str(p.threads),
                              '%.0f GFLOP/s' % gflops if gflops else '%.1f GB/s' % p.ours.of('gbps')]))
    return lines if len(lines) > 2 else []


def memory(pairs):
    lines = header(['case', 'Pleat, MiB', 'PyTorch, MiB', 'ratio'])
    for name in dict.fromkeys(p.name for p in pairs):
        p = next(p for p in pairs if p.name == name)
        ours, peer = p.ours.of('peak_mib'), p.peer.of('peak_mib') if p.peer else None
        if ours is not None and peer is not None and max(ours, peer) >= 16:  # below, it is the programs' own
            lines.append(row([name.replace(',', ' '), '%.0f' % ours, '%.0f' % peer, '%.2f' % (peer / max(ours, 1))]))
    return lines if len(lines) > 2 else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bench', default=os.path.join(HERE, '..', 'build', 'bench', 'pleat_bench'))
    parser.add_argument('--python', default=sys.executable, help='a Python that has PyTorch')
    parser.add_argument('--filter', default='', help='a regular expression, found in "op,case"')
    parser.add_argument('--threads', default=','.join(map(str, sorted({1, os.cpu_count() or 1}))))
    parser.add_argument('--min-time', type=float, default=0.15, help='seconds per case, thread count and program')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--markdown', metavar='FILE', help='write the tables there, too')
    options = parser.parse_args()
    threads = [int(t) for t in options.threads.split(',')]
    environment = dict(os.environ, OMP_NUM_THREADS=str(max(threads)))
    environment.pop('OPENBLAS_CORETYPE', None)  # where it is set it may hold PyTorch back

    results = measure(options, environment)
    pairs = [Pair(name, t, *of[t]) for name, of in results.items() for t in threads if of[t][0].rows]
    tables = summary(pairs, threads)
    for title, lines in (('Limits', limits(pairs)), ('Peak memory', memory(pairs))):
        if lines:
            tables += ['', '### ' + title, ''] + lines
    tables += details(pairs, threads)
    print('\n'.join(tables))
    if options.markdown:
        with open(options.markdown, 'w') as f:
            f.write('\n'.join(tables) + '\n')


if __name__ == '__main__':
    main()
