#include "engine/build/agent_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "async/fd_wait.h"
#include "base/file.h"
#include "base/id.h"
#include "linux/unix_address.h"

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

UniqueFd listen_at(const std::string& path, AgentSocket::Access access) {
    const linux_os::UnixAddress address(path);
    UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!listener || ::bind(listener.get(), address.get(), address.length()) < 0 ||
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
                                     listen_at(path(), access));
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
