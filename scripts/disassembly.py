#!/usr/bin/env python3
"""Whether the AVX-512 kernels of the release build are compiled as well as `-C target-cpu` would have it.

The release build is for any x86-64, so only the functions that ask for AVX-512 may use it. What they call is inlined into
them, or else gets its vectors through memory; nothing but the machine code tells. This compiles assay-kernels as shipped
and for one CPU, and compares the two; it runs neither, so it needs no AVX-512. No intrinsic may have become a function,
and in every loop that touches a vector

  * nothing is called but what CALLS_ALLOWED names;
  * vectors go to the stack and come back no more often than in the other build, but for TOLERANCE.
"""

import json
import platform
import re
import subprocess
import sys
from collections import Counter, namedtuple

# Zen 4 has AVX-512 IFMA; `native` has none where the machine that compiles has none.
CPU = "znver4"

# The pieces of work in eight lanes, which must be found once per curve: what gets another name is not to be passed over.
# Whatever else has vectors is looked at too.
TASKS = [
    "Accumulated", "Affine", "Horner", "Joined", "Level", "OddMultiples", "Picked", "Quotients", "Roots", "build", "sums of Comb",
    "sums of Product",
]
CURVES = ["P256", "Secp256k1"]

# What loops may call, type arguments aside.
CALLS_ALLOWED = {
    "assay_kernels::avx512::residue::inverses",  # The one division of a level, in ordinary integers.
}
# As a share of the vector instructions in loops: registers are given out by rules of thumb, and the order of instructions,
# which is the CPU's, changes what comes of them. Found: 84 beside 76 in Horner P256, which has 2233.
TOLERANCE = 0.01

# Functions after whose call the next instruction belongs to something else.
NEVER_RETURNS = re.compile(r"panic|_fail|handle_error|handle_alloc_error|_Unwind_Resume")
Instruction = namedtuple("Instruction", "address mnemonic operands symbol")
HEADING = re.compile(r"^[0-9a-f]+ <([^.].*)>:$")
LINE = re.compile(r"^ *([0-9a-f]+):\t(?:\{\w+\} )?(\S+) *([^\t#]*?) *(?:#[^\t]*)?(?:\t[0-9a-f]+: R_\S+\t(?:\.text\.)?(\S+?)(?:[-+]0x[0-9a-f]+)?)?$")


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def compiled(*flags):
    """[functions] of the crate built with the flags. `cargo rustc` gives them to this crate alone, and its files names of
    their own, so all else that is built stays as it is. The first flag puts type arguments into symbols; of the 42,000
    instructions found it adds or removes twenty, three of them between vectors and the stack."""
    messages = run(
        *"cargo rustc --release --locked -p assay-kernels --lib --message-format json-render-diagnostics --".split(),
        "-Csymbol-mangling-version=v0",
        *flags,
    )
    artifacts = [json.loads(message) for message in messages.splitlines()]
    [files] = [a["filenames"] for a in artifacts if a["reason"] == "compiler-artifact" and a["target"]["name"] == "assay_kernels"]
    # Beside its metadata: the copy one folder up is of whichever build came last.
    return functions(next(file for file in files if file.endswith(".rmeta")).removesuffix(".rmeta") + ".rlib")


def functions(path):
    """The code of functions with vectors, by what they do and for which curve; one list for each of the same name."""
    listed, code = {}, []
    for line in run("objdump", "-drw", "--no-show-raw-insn", "-Matt", path).splitlines():
        if heading := HEADING.match(line):
            code = listed[heading[1]] = []
        elif parts := LINE.match(line):
            code.append(Instruction(int(parts[1], 16), *parts.group(2, 3, 4)))
    named = {}
    for symbol, code in listed.items():
        if any(map(is_vector, code)):
            named.setdefault(label(readable(symbol)), []).append(code)
    return named


def readable(symbol):
    """Demangled, without the hashes of crates."""
    return re.sub(r"\[[0-9a-f]+\]", "", run("c++filt", re.sub(r"\.llvm\.\d+$", "", symbol)).strip())


def label(name):
    """`…::Level<…, …::P256Digits>` and its like in a few words; a name of another form stays as it is."""
    curve = next((curve for curve in CURVES if curve in name), "")
    if task := re.search(r"::enter::enabled::<(?:\w+::)*(\w+)<", name):
        return f"{task[1]} {curve}"
    if task := re.search(r"::(\w+)_avx512(?:::enabled)?::<", name):
        by_key = re.search(r"::(Comb|Product)\b", name)
        return " ".join([task[1], *(["of", by_key[1]] if by_key else []), curve])
    return name


def is_vector(instruction):
    return "%zmm" in instruction.operands


def is_multiply_add(instruction):
    return instruction.mnemonic.startswith("vpmadd52") and is_vector(instruction)


class Counts:
    """What is counted in functions of one name."""

    def __init__(self, codes):
        code = [instruction for code in codes for instruction in code]
        self.multiply_adds = sum(map(is_multiply_add, code))
        self.others = sum(map(is_vector, code)) - self.multiply_adds
        looping = [i for code in codes for loop in loops(code) if any(map(is_vector, loop)) for i in loop]
        # What is called more than once may have its address in a register: it counts as whatever the register ever holds.
        held = {}
        for i in code:
            if i.mnemonic in ("mov", "lea") and i.symbol and (register := re.search(r"^0x0\(%rip\),(%\w+)$", i.operands)):
                held.setdefault("*" + register[1], set()).add(readable(i.symbol))
        called = (" or ".join(sorted(held.get(i.operands, {readable(i.symbol or i.operands)}))) for i in looping if i.mnemonic == "call")
        self.calls = Counter(called)
        frame = "%rsp|%rbp" if any((i.mnemonic, i.operands) == ("mov", "%rsp,%rbp") for i in code) else "%rsp"
        # Broadcasts of one word are loads of a constant, not of a vector that found no register.
        on_stack = [i for i in looping if is_vector(i) and re.search(rf"\((?:{frame})[,)](?!\{{1to)", i.operands) and "broadcast" not in i.mnemonic]
        self.stores = sum(1 for i in on_stack if i.operands.endswith(")"))
        self.loads = len(on_stack) - self.stores
        self.traffic = self.loads + self.stores
        self.looping = sum(map(is_vector, looping))


def loops(code):
    """The outermost loops: instructions that can come again after themselves, together with those they alternate with."""
    position = {instruction.address: i for i, instruction in enumerate(code)}
    following = []
    for i, instruction in enumerate(code):
        jumps, ends = instruction.mnemonic.startswith("j"), instruction.mnemonic in ("jmp", "ret", "ud2")
        ends |= instruction.mnemonic == "call" and bool(NEVER_RETURNS.search(instruction.symbol or ""))
        # A jump with a symbol leaves the function. One through a register would hide loops, and stops here.
        targets = [position[int(instruction.operands.split()[0], 16)]] if jumps and not instruction.symbol else []
        following.append(targets + [i + 1] * (not ends and i + 1 < len(code)))
    # Tarjan's strongly connected components, with a stack of its own for the recursion.
    number, low, path, open_ones, found = {}, {}, [], set(), []
    for root in range(len(code)):
        calls = [root] if root not in number else []
        rest = {}
        while calls:
            node = calls[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                path.append(node)
                open_ones.add(node)
                rest[node] = iter(following[node])
            deeper = next((target for target in rest[node] if target not in number), None)
            if deeper is not None:
                calls.append(deeper)
                continue
            calls.pop()
            low[node] = min([number[node], *(low[target] for target in following[node] if target in open_ones)])
            if low[node] == number[node]:
                start = path.index(node)
                component, path[start:] = path[start:], []
                open_ones.difference_update(component)
                if len(component) > 1 or node in following[node]:
                    found.append([code[i] for i in sorted(component)])
    return found


def judge(name, ours, theirs):
    """What is wrong with a function of the shipped build, given the other build's."""
    if name.startswith("core::core_arch::"):
        yield "an instruction that was not inlined"
        return
    for callee, count in ours.calls.items():
        if any(name.split("::<")[0] not in CALLS_ALLOWED for name in callee.split(" or ")):
            yield f"{count} calls of {callee} in loops"
    if theirs is None:
        yield f"no such function in the build for {CPU}"
    elif ours.traffic > theirs.traffic + TOLERANCE * ours.looping:
        yield f"{ours.traffic} loads and stores of vectors on the stack in loops, {theirs.traffic} in the build for {CPU}"


def main():
    if platform.machine() != "x86_64":
        return print("disassembly: these kernels are for x86-64 only: nothing to look at")
    shipped, native = compiled(), compiled(f"-Ctarget-cpu={CPU}")
    print(f"{'':24}       in all       in loops: {'':9}on the stack, shipped {'':7}{CPU}")
    print(f"{'function':24} vpmadd52  other   vectors  calls    loads  stores      loads  stores")
    faults = [f"{task} {curve}: no such function" for task in TASKS for curve in CURVES if f"{task} {curve}" not in shipped]
    for name in sorted(shipped):
        ours, theirs = Counts(shipped[name]), Counts(native[name]) if name in native else None
        row = f"{name:24} {ours.multiply_adds:8} {ours.others:6} {ours.looping:9} {sum(ours.calls.values()):6} {ours.loads:8} {ours.stores:7}"
        print(row + (f" {theirs.loads:10} {theirs.stores:7}" if theirs else ""))
        faults += [f"{name}: {fault}" for fault in judge(name, ours, theirs)]
    for fault in faults:
        print(f"disassembly: {fault}", file=sys.stderr)
    if faults:
        sys.exit(f"disassembly: refused: {len(faults)} faults")
    print(f"disassembly: {len(shipped)} functions are compiled as for {CPU}")


if __name__ == "__main__":
    main()
