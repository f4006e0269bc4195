#include "engine/build/git.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "image/proxy.h"
#include "linux/spawn.h"

namespace berth::engine {

namespace {

constexpr std::size_t kMostWords = 1U << 20;  // of git's own
constexpr std::size_t kMostShown = 4096;

/// A child and all that it starts; they end with this object.
class Session final {
  public:
    explicit Session(const linux_os::SpawnRequest& request) : process_(linux_os::spawn(request)) {}
    ~Session() {
        if (!process_) return;
        end();
        (void)process_.reap();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// To be called while it is not reaped, when its number is still its own.
    void end() const { ::kill(-process_.pid(), SIGKILL); }
    int wait() { return std::exchange(process_, {}).reap().code; }

  private:
    linux_os::PidFd process_;
};

/// "https://user:password@host/x" without what is not to be shown or kept.
std::string without_credentials(const std::string& url) {
    const std::size_t scheme = url.find("://");
    const std::size_t at = url.find('@');
    if (scheme == std::string::npos || at == std::string::npos || url.starts_with("ssh://"))
        return url;
    if (url.find('/', scheme + 3) < at) return url;
    return url.substr(0, scheme + 3) + url.substr(at + 1);
}

using Settings = std::vector<std::pair<std::string, std::string>>;

/// Settings that hold for the submodules' gits, too.
Settings settings_of(const GitCheckout& checkout) {
    Settings settings{{"core.hooksPath", "/dev/null"},
                      {"core.fsmonitor", "false"},
                      {"protocol.file.allow", "never"},
                      {"protocol.ext.allow", "never"},
                      {"gc.auto", "0"},
                      {"maintenance.auto", "false"},
                      {"advice.detachedHead", "false"},
                      {"http.lowSpeedLimit", "1"},
                      {"http.lowSpeedTime", "60"},
                      {"credential.helper", ""}};
    const std::string& remote = checkout.source.remote;
    if (!checkout.access.authorization.empty() && remote.starts_with("http"))
        settings.emplace_back(
            fmt::format("http.{}://{}/.extraheader", remote.substr(0, remote.find("://")),
                        checkout.source.host()),
            "Authorization: " + checkout.access.authorization);
    return settings;
}

std::vector<std::string> environment_of(const GitCheckout& checkout, const std::string& home) {
    const bool ssh = !checkout.access.agent_socket.empty();
    std::vector<std::string> environment{
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=" + home,
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ASKPASS=/bin/false",
        "SSH_ASKPASS=/bin/false",
        std::string("GIT_ALLOW_PROTOCOL=http:https:git") + (ssh ? ":ssh" : "")};
    if (ssh) {
        environment.push_back("SSH_AUTH_SOCK=" + checkout.access.agent_socket);
        // Nobody is there to compare a host's key with what the user knows: BuildKit takes the
        // first one as well.
        environment.push_back(
            "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no "
            "-o UserKnownHostsFile=/dev/null");
    }
    const std::string proxy = image::proxy_for(*checkout.settings, checkout.source.remote);
    if (!proxy.empty()) {
        environment.push_back("http_proxy=" + proxy);
        environment.push_back("https_proxy=" + proxy);
        environment.push_back("no_proxy=" + image::no_proxy_list(*checkout.settings));
    }
    for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"})
        if (const char* value = ::secure_getenv(name))
            environment.push_back(std::string(name) + "=" + value);
    const Settings settings = settings_of(checkout);
    environment.push_back(fmt::format("GIT_CONFIG_COUNT={}", settings.size()));
    for (std::size_t i = 0; i < settings.size(); ++i) {
        environment.push_back(fmt::format("GIT_CONFIG_KEY_{}={}", i, settings[i].first));
        environment.push_back(fmt::format("GIT_CONFIG_VALUE_{}={}", i, settings[i].second));
    }
    return environment;
}

std::string find_git(const std::string& remote) {
    std::string program = linux_os::find_program("git");
    if (program.empty())
        throw Error(ErrorKind::unsupported,
                    "{} is a git repository, and the program git is not installed on this host",
                    without_credentials(remote));
    return program;
}

class Repository final {
  public:
    Repository(const GitCheckout& checkout, const std::string& directory)
        : checkout_(checkout),
          directory_(directory),
          program_(find_git(checkout.source.remote)),
          environment_(environment_of(checkout, directory + "/.git")) {}

    void create() const {
        run({"init", "--quiet", "--template="});
        run({"remote", "add", "--", "origin", checkout_.source.remote});
    }
    void fetch_and_check_out() const;
    void update_submodules() const;
    std::string commit() const {
        std::string name = run({"rev-parse", "HEAD"});
        name.resize(std::min(name.find('\n'), name.size()));
        return name;
    }
    void forget_credentials() const {
        run({"remote", "set-url", "origin", without_credentials(checkout_.source.remote)});
    }

  private:
    struct Outcome final {
        int code = 0;
        std::string words;
    };
    Outcome outcome(std::vector<std::string> arguments) const;
    bool attempt(std::vector<std::string> arguments) const {
        return outcome(std::move(arguments)).code == 0;
    }
    std::string run(std::vector<std::string> arguments) const;
    std::string find_fetched() const;

    const GitCheckout& checkout_;
    const std::string directory_;
    const std::string program_;
    const std::vector<std::string> environment_;
};

Repository::Outcome Repository::outcome(std::vector<std::string> arguments) const {
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = program_;
    request.arguments = {"git"};
    request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
    request.environment = environment_;
    request.directory = directory_;
    request.fds = {{pipe.write, STDOUT_FILENO}, {pipe.write, STDERR_FILENO}};
    request.new_session = true;
    request.death_signal = SIGKILL;
    Session session(request);
    pipe.write.reset();
    Outcome outcome;
    {
        const std::stop_callback on_stop(checkout_.stop, [&] { session.end(); });
        outcome.words = read_all(pipe.read, kMostWords);
    }
    outcome.code = session.wait();
    if (checkout_.stop.stop_requested()) throw Error(ErrorKind::cancelled, "Build cancelled");
    return outcome;
}

std::string Repository::run(std::vector<std::string> arguments) const {
    const std::string verb = arguments.front();
    Outcome result = outcome(std::move(arguments));
    if (result.code == 0) return std::move(result.words);
    std::string& words = result.words;
    const std::string& remote = checkout_.source.remote;
    const std::string shown = without_credentials(remote);
    for (std::size_t at = 0; (at = words.find(remote, at)) != std::string::npos; at += shown.size())
        words.replace(at, remote.size(), shown);
    if (words.size() > kMostShown) words.erase(0, words.size() - kMostShown);
    while (words.ends_with('\n')) words.pop_back();
    throw Error(ErrorKind::invalid, "failed to fetch remote {}: git {}: {}", shown, verb, words);
}

// Servers of plain files cannot send a part of a history, nor do all send a commit that no
// reference names: then everything is fetched.
void Repository::fetch_and_check_out() const {
    const std::string& reference = checkout_.source.reference;
    if (attempt({"fetch", "--quiet", "--no-tags", "--depth=1", "origin",
                 reference.empty() ? "HEAD" : reference})) {
        run({"checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"});
        return;
    }
    std::vector<std::string> all{"fetch",
                                 "--quiet",
                                 "--force",
                                 "origin",
                                 "+refs/heads/*:refs/remotes/origin/*",
                                 "+refs/tags/*:refs/tags/*"};
    if (reference.empty()) all.emplace_back("+HEAD:refs/remotes/origin/HEAD");
    run(std::move(all));
    run({"checkout", "--quiet", "--force", "--detach", find_fetched()});
}

std::string Repository::find_fetched() const {
    constexpr std::string_view kHeads = "refs/heads/";
    std::string name = checkout_.source.reference;
    if (name.empty()) name = "HEAD";
    if (name.starts_with(kHeads)) name.erase(0, kHeads.size());
    for (const std::string& candidate : {"refs/remotes/origin/" + name, "refs/tags/" + name, name})
        if (attempt({"rev-parse", "--quiet", "--verify", candidate + "^{commit}"}))
            return candidate;
    throw Error(ErrorKind::invalid, "the repository {} does not contain ref {}",
                without_credentials(checkout_.source.remote), checkout_.source.reference);
}

void Repository::update_submodules() const {
    if (!checkout_.source.submodules || !exists(directory_ + "/.gitmodules")) return;
    const std::vector<std::string> update{"submodule", "update", "--quiet", "--init",
                                          "--recursive"};
    std::vector<std::string> shallow = update;
    shallow.emplace_back("--depth=1");
    if (!attempt(std::move(shallow))) run(update);
}

}  // namespace

std::string check_out(const GitCheckout& checkout, const std::string& directory) {
    const build::GitSource& source = checkout.source;
    if (source.is_ssh() && checkout.access.agent_socket.empty())
        throw Error(ErrorKind::unsupported,
                    "the repository {} is reached by ssh, which needs the client's ssh agent: "
                    "build with --ssh default, or give its https URL",
                    source.remote);
    const Repository repository(checkout, directory);
    repository.create();
    repository.fetch_and_check_out();
    repository.update_submodules();
    std::string commit = repository.commit();
    if (!commit.starts_with(source.checksum))
        throw Error(ErrorKind::invalid, "expected checksum to match {}, got {}", source.checksum,
                    commit);
    if (source.keep_git_directory.value_or(checkout.keep_git_directory))
        repository.forget_credentials();
    else
        remove_tree(directory + "/.git");
    return commit;
}

}  // namespace berth::engine
