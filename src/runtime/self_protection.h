// CVE-2019-5736: a container may reach the runtime's own file through /proc/self/exe (a program
// that is a link to it, an interpreter line) and write to it. So the verbs that put a process into
// a container run from a read-only mount of the file, or from a sealed copy in memory.
#pragma once

namespace berth::runtime {

/// Returns when this process already runs from such a file; else executes itself again from one.
/// Throws Error when neither kind can be had.
void run_from_protected_file(char** arguments, char** environment);

}  // namespace berth::runtime
