#include "engine/containers/attach.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "async/fd_wait.h"
#include "async/task.h"
#include "engine/containers/files.h"
#include "engine/containers/logs.h"
#include "shim/websocket.h"

namespace berth::engine {

namespace {

shim::StreamOptions stream_options(const Container& container, const AttachRequest& request,
                                   std::string early) {
    const model::ContainerConfig& config = container.record.config;
    shim::StreamOptions options;
    options.stdin_stream = request.stdin_ && config.open_stdin;
    options.stdout_stream = request.stdout_;
    options.stderr_stream = request.stderr_;
    options.framing = request.websocket ? shim::Framing::websocket
                      : config.tty      ? shim::Framing::raw
                                        : shim::Framing::multiplexed;
    if (config.tty && options.stdin_stream)
        options.detach_keys = detach_key_bytes(request.detach_keys);
    options.prefix = std::move(early);
    return options;
}

/// docker-py reads the reply's head through a buffer and the stream below it from the socket: bytes
/// that arrive together with the head are lost to it. Waits shortly until the head was taken.
async::Task<void> wait_until_head_is_read(BorrowedFd client) {
    for (int i = 0; i < 20; ++i) {
        int unread = 0;
        if (ioctl(client.get(), SIOCOUTQ, &unread) != 0 || unread == 0) co_return;
        co_await async::sleep_for(std::chrono::milliseconds(1));
    }
}

async::Task<void> replay_log(ContainerState& state, const Container& container,
                             const AttachRequest& request, BorrowedFd client) {
    LogRequest history;
    history.stdout_ = request.stdout_;
    history.stderr_ = request.stderr_;
    history.tail = "all";
    co_await wait_until_head_is_read(client);
    std::optional<StreamKind> kind;
    if (request.websocket) kind = StreamKind::raw;
    const std::unique_ptr<LogStream> log = open_log(state, container, history, kind);
    for (;;) {
        std::optional<std::string> bytes = co_await log->next();
        if (!bytes) co_return;
        if (request.websocket) bytes->insert(0, shim::websocket_header(bytes->size()));
        co_await write_to_client(client, std::move(*bytes));
    }
}

}  // namespace

async::Task<void> write_to_client(BorrowedFd client, std::string bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = send(client.get(), bytes.data() + done, bytes.size() - done,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN) {
            co_await async::wait_writable(client);
        } else if (errno != EINTR) {
            throw_errno("writing to an attached client");
        }
    }
}

StreamKind check_attach_request(const Container& container, const AttachRequest& request) {
    detach_key_bytes(request.detach_keys);
    const model::Status status = container.record.state.status;
    if (container.removing)
        throw Error(ErrorKind::conflict, "container {} is marked for removal", container.record.id);
    if (status == model::Status::paused)
        throw Error(ErrorKind::conflict,
                    "container {} is paused, unpause the container before attach",
                    container.record.id);
    if (status == model::Status::restarting)
        throw Error(ErrorKind::conflict,
                    "container {} is restarting, wait until the container is running",
                    container.record.id);
    return container.record.config.tty ? StreamKind::raw : StreamKind::multiplexed;
}

async::Task<void> attach_client(ContainerState& state, ContainerPtr container,
                                AttachRequest request, UniqueFd client, std::string early) {
    if (request.logs) co_await replay_log(state, *container, request, client);
    if (!request.stream) {
        if (request.websocket) co_await write_to_client(client, shim::websocket_close());
        co_return;
    }
    state.publish(*container, "attach");
    shim::StreamOptions streams = stream_options(*container, request, std::move(early));
    if (container->shim && container->takes_clients) {
        co_await container->shim->attach(std::move(streams), client.borrow());
        co_return;
    }
    if (!container->removed) container->queued.push_back({std::move(streams), std::move(client)});
}

}  // namespace berth::engine
