#include "engine/build/agent_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "async/fd_wait.h"
#include "base/file.h"
#include "base/id.h"

namespace berth::engine {

struct AgentSocket::State final {
    async::TaskGroup& tasks;
    BuildAgents agents;
    std::string id;
    UniqueFd listener;
    async::CancelSource cancel{};

    static async::Task<> accept_all(std::shared_ptr<State> self);
    static async::Task<> serve(std::shared_ptr<State> self) {
        co_await async::run_cancellable(self->cancel, accept_all(self));
    }
};

namespace {

constexpr const char* kDirectories = "/build-agents";
constexpr const char* kName = "/agent";

/// Named through the descriptor of its directory: an address holds 107 bytes only.
UniqueFd listen_in(const std::string& directory, AgentSocket::Access access) {
    const UniqueFd place = open_file(directory, O_PATH | O_DIRECTORY);
    UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = fmt::format("/proc/self/fd/{}{}", place.get(), kName);
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    const std::string path = directory + kName;
    if (!listener ||
        ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::chown(path.c_str(), access.uid, access.gid) < 0 ||
        ::chmod(path.c_str(), access.mode) < 0 || ::listen(listener.get(), SOMAXCONN) < 0)
        throw_errno("making the ssh agent's socket {}", path);
    return listener;
}

}  // namespace

async::Task<> AgentSocket::State::accept_all(std::shared_ptr<State> self) {
    for (;;) {
        co_await async::wait_readable(self->listener);
        UniqueFd connection{::accept4(self->listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        if (connection)
            self->tasks.spawn("ssh agent", self->agents.carry(self->id, std::move(connection)));
    }
}

AgentSocket::AgentSocket(const Context& engine, BuildAgents agents, std::string id, Access access)
    : directory_(engine.settings.exec_root + kDirectories + "/" + random_hex_id().substr(0, 16)) {
    make_directories(directory_, 0711);
    state_ = std::make_shared<State>(engine.tasks, std::move(agents), std::move(id),
                                     listen_in(directory_, access));
    engine.tasks.spawn("ssh agent's socket", State::serve(state_));
}

AgentSocket::~AgentSocket() {
    state_->cancel.cancel();
    ::unlink(path().c_str());
    ::rmdir(directory_.c_str());
}

std::string AgentSocket::path() const { return directory_ + kName; }

void AgentSocket::clear(const std::string& exec_root) { remove_tree(exec_root + kDirectories); }

}  // namespace berth::engine
