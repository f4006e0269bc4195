// `berth login` and `berth logout`: as docker's, in the same files.
#include <termios.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/docker_config.h"
#include "cli/engine_client.h"
#include "cli/flags.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"username", 'u'}, Flag{"password", 'p'},
                            Flag{"password-stdin", 0, FlagKind::toggle}};
constexpr std::size_t kMaxSecret = 1U << 16;

void say(const std::string& text) { write_all(BorrowedFd{STDOUT_FILENO}, text); }
void warn(const std::string& text) { write_all(BorrowedFd{STDERR_FILENO}, text); }

std::string without_line_end(std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

std::string read_line() {
    std::string line;
    char byte = 0;
    while (line.size() < kMaxSecret && ::read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        line += byte;
    return without_line_end(line);
}

/// A terminal that does not show what is typed, for as long as the object lives.
class SilentTerminal final {
  public:
    SilentTerminal() {
        ::tcgetattr(STDIN_FILENO, &before_);
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSANOW, &silent);
    }
    ~SilentTerminal() { ::tcsetattr(STDIN_FILENO, TCSANOW, &before_); }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

  private:
    termios before_{};
};

std::string ask(const std::string& question) {
    warn(question);
    std::string answer = read_line();
    if (answer.empty()) throw Error(ErrorKind::invalid, "no answer to '{}'", question);
    return answer;
}

std::string ask_silently(const std::string& question) {
    const SilentTerminal silent;
    std::string answer = ask(question);
    warn("\n");
    return answer;
}

Login from_terminal(Login login) {
    if (::isatty(STDIN_FILENO) != 1)
        throw Error(ErrorKind::invalid,
                    "cannot perform an interactive login from a non TTY device");
    if (login.username.empty()) login.username = ask("Username: ");
    if (login.password.empty()) login.password = ask_silently("Password: ");
    return login;
}

Login from_flags(const Flags& flags) {
    Login login{
        .username = flags.get("username"), .password = flags.get("password"), .identity_token = ""};
    if (flags.has("password"))
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    if (!flags.on("password-stdin")) return login;
    if (flags.has("password"))
        throw Error(ErrorKind::invalid, "--password and --password-stdin are mutually exclusive");
    if (login.username.empty())
        throw Error(ErrorKind::invalid, "must provide --username with --password-stdin");
    login.password = without_line_end(read_all(BorrowedFd{STDIN_FILENO}, kMaxSecret));
    return login;
}

/// What is to be kept: the identity token where the registry gives one. Throws Error.
Login log_in(EngineClient& client, const std::string& registry, Login login) {
    const nlohmann::json body{{"username", login.username},
                              {"password", login.password},
                              {"identitytoken", login.identity_token},
                              {"serveraddress", registry}};
    const auto answer = client.post("/auth", body);
    const std::string token = JsonReader(answer).string("IdentityToken");
    if (!token.empty()) {
        login.password.clear();
        login.identity_token = token;
    }
    return login;
}

}  // namespace

int login_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    const auto& positionals = flags.positionals();
    const std::string registry = registry_key(positionals.empty() ? "" : positionals.front());
    DockerConfig config;
    EngineClient client(invocation.host);
    Login login = from_flags(flags);
    if (login.username.empty() && login.password.empty()) {
        if (const std::optional<Login> known = config.find(registry)) {
            say("Authenticating with existing credentials...\n");
            config.store(registry, log_in(client, registry, *known));
            say("Login Succeeded\n");
            return 0;
        }
    }
    if (login.username.empty() || login.password.empty()) login = from_terminal(login);
    config.store(registry, log_in(client, registry, std::move(login)));
    if (config.helper_of(registry).empty())
        warn("WARNING! Your credentials are stored unencrypted in '" + config.path() +
             "'.\nConfigure a credential helper to remove this warning. See\n"
             "https://docs.docker.com/go/credential-store/\n");
    say("Login Succeeded\n");
    return 0;
}

int logout_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, {}, Positionals::anywhere);
    const auto& positionals = flags.positionals();
    const std::string registry = registry_key(positionals.empty() ? "" : positionals.front());
    if (DockerConfig().erase(registry)) {
        say("Removing login credentials for " + registry + "\n");
    } else {
        say("Not logged in to " + registry + "\n");
    }
    return 0;
}

}  // namespace berth::cli
