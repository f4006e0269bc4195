#include "engine/exec/output.h"

#include <sys/socket.h>

#include <algorithm>

#include "async/fd_wait.h"

namespace berth::engine {

async::Task<> collect(std::shared_ptr<CollectedOutput> output) {
    char buffer[4096];
    while (true) {
        const ssize_t count = ::recv(output->socket.get(), buffer, sizeof buffer, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            co_await async::wait_readable(output->socket);
            continue;
        }
        if (count <= 0) co_return;
        const std::size_t room = output->limit - std::min(output->limit, output->text.size());
        const auto size = static_cast<std::size_t>(count);
        output->text.append(buffer, std::min(room, size));
        if (size > room && !output->text.ends_with("...")) output->text += "...";
    }
}

}  // namespace berth::engine
