// berth: our own client of the engine. Errors become one line and an exit code here and nowhere
// else.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/default_host.h"
#include "rootlesskit/holder.h"

namespace berth::cli {
namespace {

constexpr std::array kCommands{
    Command{"run", "run [FLAGS] IMAGE [COMMAND] [ARG...]", "run a command in a new container",
            run_command},
    Command{"exec", "exec [FLAGS] CONTAINER COMMAND [ARG...]",
            "run a command in a running container", exec_command},
    Command{"cp", "cp [-a] [-L] [-q] CONTAINER:PATH LOCAL|-  or  LOCAL|- CONTAINER:PATH",
            "copy files between a container and this machine, \"-\" being a tar stream",
            cp_command},
    Command{"ps", "ps [-a] [-q] [-f FILTER]", "list containers", ps_command},
    Command{"logs", "logs [-f] [-n LINES] CONTAINER", "show what a container wrote", logs_command},
    Command{"stop", "stop [-t SECONDS] CONTAINER...", "stop containers", stop_command},
    Command{"rm", "rm [-f] [-v] CONTAINER...", "remove containers", rm_command},
    Command{"images", "images [-a] [-q]", "list images", images_command},
    Command{"pull", "pull NAME[:TAG|@DIGEST]", "pull an image from a registry", pull_command},
    Command{"push", "push [-a] NAME[:TAG]", "push an image to a registry", push_command},
    Command{"login", "login [-u NAME] [--password-stdin] [SERVER]", "log in to a registry",
            login_command},
    Command{"logout", "logout [SERVER]", "forget the credentials for a registry", logout_command},
    Command{"search", "search [--limit N] TERM", "search a registry for images", search_command},
    Command{"load", "load [-i FILE]", "load images from an archive", load_command},
    Command{"import", "import FILE|- [REPOSITORY[:TAG]]", "make an image of a file system archive",
            import_command},
    Command{"commit", "commit [FLAGS] CONTAINER [REPOSITORY[:TAG]]", "make an image of a container",
            commit_command},
    Command{"diff", "diff CONTAINER", "show what a container changed in its image's files",
            diff_command},
    Command{"export", "export [-o FILE] CONTAINER", "write a container's files as an archive",
            export_command},
    Command{"info", "info [--json]", "show the state of the engine", info_command},
    Command{"version", "version [--json]", "show the versions", version_command},
    Command{"setup",
            "setup install [--force] [--skip-context]|uninstall|check|host|context|apparmor",
            "install the engine for this user and start it", setup_command},
    Command{"doctor", "doctor [--json] [--fix] [--store | CHECK...]",
            "check everything that rootless containers need, and say what mends it",
            doctor_command}};

std::string help() {
    std::string text = "usage: berth [-H HOST] COMMAND ...\n\n";
    for (const Command& command : kCommands)
        text += fmt::format("  {:<8}  {}\n            berth {}\n", command.name, command.summary,
                            command.usage);
    return text + "\nHOST is $DOCKER_HOST, else the socket of this user's engine.\n";
}

int run(std::vector<std::string> arguments) {
    std::string host;
    while (!arguments.empty() && arguments.front().starts_with("-")) {
        const std::string flag = arguments.front();
        arguments.erase(arguments.begin());
        if (flag == "-h" || flag == "--help") {
            write_all(BorrowedFd{STDOUT_FILENO}, help());
            return 0;
        }
        if (flag == "-v" || flag == "--version") {
            write_all(BorrowedFd{STDOUT_FILENO}, "berth " BERTH_VERSION "\n");
            return 0;
        }
        if ((flag != "-H" && flag != "--host") || arguments.empty())
            throw Error(ErrorKind::invalid, "unknown flag: {}; see berth --help", flag);
        host = arguments.front();
        arguments.erase(arguments.begin());
    }
    if (arguments.empty()) throw Error(ErrorKind::invalid, "no command given\n\n{}", help());
    // Set-up and doctor say themselves what is wrong with the run-time directory.
    const bool needs_host = arguments.front() != "setup" && arguments.front() != "doctor";
    if (host.empty() && needs_host) host = default_host();
    for (const Command& command : kCommands) {
        if (command.name != arguments.front()) continue;
        arguments.erase(arguments.begin());
        if (!arguments.empty() && arguments.front() == "--help") {
            write_all(BorrowedFd{STDOUT_FILENO},
                      fmt::format("usage: berth {}\n{}\n", command.usage, command.summary));
            return 0;
        }
        return command.run({host, std::move(arguments)});
    }
    throw Error(ErrorKind::invalid, "unknown command '{}'; see berth --help", arguments.front());
}

}  // namespace

}  // namespace berth::cli

int main(int argc, char** argv) {
    // `berth doctor` tries a holder of its own (rootlesskit/holder.h), which is this program again.
    if (argc == 2 && std::string_view(argv[1]) == "holder") berth::rootlesskit::sleep_as_holder();
    ::signal(SIGPIPE, SIG_IGN);
    try {
        return berth::cli::run({argv + 1, argv + argc});
    } catch (const berth::Error& error) {
        const std::string line = "berth: " + error.message() + "\n";
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
        return error.kind() == berth::ErrorKind::invalid ? 125 : 1;  // a wrong command line
    } catch (const std::exception& error) {
        const std::string line = fmt::format("berth: {}\n", error.what());
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
        return 1;
    }
}
