#include "cli/run_program.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "linux/spawn.h"

namespace berth::cli {

ProgramResult run_program(const std::vector<std::string>& arguments,
                          const std::vector<std::string>& more_environment) {
    const std::string& name = arguments.front();
    const std::string program = name.starts_with('/') ? name : linux_os::find_program(name);
    if (program.empty()) throw Error(ErrorKind::not_found, "the program {} is not installed", name);
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request{
        .program = program, .arguments = arguments, .environment = linux_os::current_environment()};
    for (const std::string& entry : more_environment) request.environment.push_back(entry);
    request.fds = {{pipe.write, STDOUT_FILENO}, {pipe.write, STDERR_FILENO}};
    const linux_os::PidFd process = linux_os::spawn(request);
    pipe.write.reset();
    ProgramResult result;
    result.output = read_all(pipe.read);
    result.code = process.reap().code;
    while (result.output.ends_with('\n')) result.output.pop_back();
    return result;
}

}  // namespace berth::cli
