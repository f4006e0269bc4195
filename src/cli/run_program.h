// Runs another program of the user's to its end and takes what it said. For systemctl, docker and
// the commands that `berth doctor --fix` carries out.
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

struct ProgramResult final {
    int code = 0;        // exit status, or 128 + signal
    std::string output;  // standard output and error, without the last line ends
};

/// `arguments[0]` is a full path, or a name that is looked for in PATH. Standard input is
/// /dev/null. Throws Error{not_found} when there is no such program.
ProgramResult run_program(const std::vector<std::string>& arguments,
                          const std::vector<std::string>& more_environment = {});

}  // namespace berth::cli
