// The clients' half of ProcessStreams: fan-out, input, and the end of a client.
//
// A client goes attached -> finishing (its backlog is still sent) -> lingering (we sent our end of
// file, and read until it sent its own) -> removed. Closing with unread input would make the
// client's kernel drop what it has not read yet, or tell it of a reset instead of the end.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/frames.h"
#include "shim/idle_memory.h"
#include "shim/process_streams.h"

namespace berth::shim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kStallWait{2000};
constexpr milliseconds kLingerWait{500};

enum class Discarded { all_for_now, to_the_end };

Discarded discard_input(BorrowedFd socket) {
    for (;;) {
        const ssize_t count =
            ::recv(socket.get(), read_buffer().data(), read_buffer().size(), MSG_DONTWAIT);
        if (count > 0 || (count < 0 && errno == EINTR)) continue;
        return count < 0 && errno == EAGAIN ? Discarded::all_for_now : Discarded::to_the_end;
    }
}

}  // namespace

void ProcessStreams::attach(UniqueFd socket, StreamOptions options) {
    DetachScanner keys(settings_.terminal && options.stdin_stream ? options.detach_keys : "");
    Client& client = *clients_.emplace_back(std::make_unique<Client>(
        std::move(socket), std::move(options), std::move(keys), settings_.spool_directory));
    // A WebSocket is read even when nothing of it is stdin: the client pings and says good-bye.
    client.input_open = client.options.stdin_stream ? bool{stdin_fd_} : client.is_websocket();
    try {
        loop_.watch(client.socket, 0,
                    [this, &client](std::uint32_t events) { client_event(client, events); });
    } catch (...) {
        clients_.pop_back();
        throw;
    }
    if (client.input_open) {
        const std::string early = std::exchange(client.options.prefix, {});
        if (!early.empty()) take_input(client, early);
    }
    if (finishing_ && client.phase == Client::Phase::attached) finish(client);
    update_client(client);
}

void ProcessStreams::client_event(Client& client, std::uint32_t events) {
    if (client.phase == Client::Phase::lingering) {
        if ((events & (EPOLLHUP | EPOLLERR)) ||
            discard_input(client.socket) == Discarded::to_the_end)
            remove(client);
        return;
    }
    if (events & EPOLLOUT) flush_client(client);
    if (client.gone || client.phase == Client::Phase::lingering) return;
    if ((events & EPOLLIN) && client.input_open) read_client(client);
    if (!client.gone && (events & (EPOLLHUP | EPOLLERR))) client_gone(client);
}

void ProcessStreams::flush_client(Client& client) {
    try {
        after_send(client, client.outbox.flush(client.socket));
    } catch (const Error& error) {
        settings_.on_problem("a client was cut off: " + error.message());
        client_gone(client);
    }
}

// A snapshot: handling one client may remove another, which stays valid until the loop's next
// turn.
std::vector<Client*> ProcessStreams::current_clients() const {
    std::vector<Client*> result;
    result.reserve(clients_.size());
    for (const auto& client : clients_) result.push_back(client.get());
    return result;
}

void ProcessStreams::read_client(Client& client) {
    const auto buffer = read_buffer();
    const ssize_t count = ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) return;
    if (count < 0 && errno == EAGAIN && !client.gone) return;
    if (count <= 0) return input_ended(client);
    take_input(client, {buffer.data(), static_cast<std::size_t>(count)});
}

void ProcessStreams::take_frames(Client& client, std::string_view bytes) {
    const WebsocketInput::Result input = client.websocket.feed(bytes);
    if (client.options.stdin_stream && !input.payload.empty()) type(client, input.payload);
    if (client.phase != Client::Phase::attached || client.gone) return;
    if (!input.replies.empty()) send(client, input.replies, "");
    if (!input.ended || client.gone) return;
    if (client.options.stdin_stream && settings_.input_end == InputEnd::closes_process_stdin)
        close_stdin();
    finish(client);
}

void ProcessStreams::take_input(Client& client, std::string_view bytes) {
    client.is_websocket() ? take_frames(client, bytes) : type(client, bytes);
}

void ProcessStreams::type(Client& client, std::string_view bytes) {
    if (!client.scanner.active()) return write_stdin(bytes);
    const DetachScanner::Result result = client.scanner.scan(bytes);
    write_stdin(result.forward);
    if (!result.detached) return;
    settings_.on_detach();
    finish(client);
}

void ProcessStreams::input_ended(Client& client) {
    client.input_open = false;
    if (settings_.input_end == InputEnd::closes_process_stdin) close_stdin();
    if (client.gone)
        remove(client);
    else
        update_client(client);
}

// What the client had sent before it hung up is still input.
void ProcessStreams::client_gone(Client& client) {
    if (client.gone) return;
    client.gone = true;
    loop_.unwatch(client.socket);
    client.phase = Client::Phase::finishing;
    while (client.input_open && stdin_waiting_.empty()) read_client(client);
    if (!client.input_open) remove(client);
    update_outputs();
}

void ProcessStreams::update_client(Client& client) {
    if (client.gone || client.phase == Client::Phase::lingering) return;
    std::uint32_t events = 0;
    if (client.input_open && stdin_waiting_.empty()) events |= EPOLLIN;
    if (!client.outbox.empty()) events |= EPOLLOUT;
    loop_.change(client.socket, events);
}

bool ProcessStreams::wants(const Client& client, const Output& output) const {
    if (client.phase != Client::Phase::attached || client.gone) return false;
    if (settings_.terminal) return client.options.stdout_stream || client.options.stderr_stream;
    return output.number == 1 ? client.options.stdout_stream : client.options.stderr_stream;
}

void ProcessStreams::deliver(const Output& output, std::string_view bytes) {
    const std::string header = frame_header(output.number, bytes.size());
    for (Client* each : current_clients()) {
        Client& client = *each;
        if (!wants(client, output)) continue;
        if (client.is_websocket())
            send(client, websocket_header(bytes.size()), bytes);
        else
            send(client, client.options.framing == Framing::raw ? "" : header, bytes);
    }
}

void ProcessStreams::send(Client& client, std::string_view header, std::string_view bytes) {
    try {
        after_send(client, client.outbox.send(client.socket, header, bytes));
    } catch (const Error& error) {
        settings_.on_problem("a client was cut off: " + error.message());
        client_gone(client);
    }
}

void ProcessStreams::after_send(Client& client, Outbox::State state) {
    if (state == Outbox::State::gone) return client_gone(client);
    if (state == Outbox::State::empty && client.phase == Client::Phase::finishing)
        return linger(client);
    if (client.phase == Client::Phase::attached && client.outbox.full()) {
        if (draining_)
            spool(client);
        else
            watch_stall(client);
    }
    update_client(client);
    update_outputs();
}

void ProcessStreams::watch_stall(Client& client) {
    if (client.stall_timer != 0) return;
    const auto due = client.outbox.last_progress() + kStallWait;
    const auto left = std::chrono::ceil<milliseconds>(due - steady_clock::now());
    client.stall_timer = loop_.after(std::max(left, milliseconds{0}), [this, &client] {
        client.stall_timer = 0;
        if (!client.outbox.full()) return;
        if (steady_clock::now() - client.outbox.last_progress() >= kStallWait)
            spool(client);
        else
            watch_stall(client);
        update_outputs();
    });
}

void ProcessStreams::spool(Client& client) {
    try {
        client.outbox.start_spooling();
    } catch (const Error& error) {
        settings_.on_problem("a client was cut off: " + error.message());
        client_gone(client);
    }
}

void ProcessStreams::finish_clients(std::function<void()> done) {
    finishing_ = true;
    finished_ = std::move(done);
    for (Client* each : current_clients()) {
        Client& client = *each;
        if (client.gone)
            remove(client);
        else if (client.phase == Client::Phase::attached)
            finish(client);
    }
    settle_finish();
}

void ProcessStreams::settle_finish() {
    if (!finished_ || !clients_.empty() || !output_ended()) return;
    const auto done = std::exchange(finished_, nullptr);
    done();
}

void ProcessStreams::finish(Client& client) {
    if (client.is_websocket()) send(client, websocket_close(), "");
    if (client.gone) return;
    client.phase = Client::Phase::finishing;
    client.input_open = false;
    if (client.outbox.empty()) return linger(client);
    loop_.cancel(client.stall_timer);
    watch_backlog(client);
    update_client(client);
}

// A client that never reads must not keep the shim and the backlog on disk for ever.
void ProcessStreams::watch_backlog(Client& client) {
    const SteadyTime seen = client.outbox.last_progress();
    client.stall_timer = loop_.after(settings_.backlog_wait, [this, &client, seen] {
        client.stall_timer = 0;
        if (client.outbox.last_progress() != seen) return watch_backlog(client);
        settings_.on_problem("a client was cut off: it did not take its backlog");
        remove(client);
    });
}

void ProcessStreams::linger(Client& client) {
    client.phase = Client::Phase::lingering;
    loop_.cancel(client.stall_timer);
    ::shutdown(client.socket.get(), SHUT_WR);
    const Discarded discarded = discard_input(client.socket);
    if (discarded == Discarded::to_the_end ||
        !(client.options.stdin_stream || client.is_websocket()))
        return remove(client);
    loop_.change(client.socket, EPOLLIN);
    client.stall_timer = loop_.after(kLingerWait, [this, &client] { remove(client); });
}

void ProcessStreams::remove(Client& client) {
    const auto entry = std::find_if(clients_.begin(), clients_.end(),
                                    [&](const auto& owned) { return owned.get() == &client; });
    if (entry == clients_.end()) return;
    loop_.unwatch(client.socket);
    loop_.cancel(client.stall_timer);
    client.gone = true;
    client.socket.reset();
    // A caller up the stack still has a reference.
    buried_.splice(buried_.end(), clients_, entry);
    if (burial_timer_ == 0)
        burial_timer_ = loop_.after(milliseconds{0}, [this] {
            burial_timer_ = 0;
            buried_.clear();
        });
    settle_finish();
}

void ProcessStreams::write_stdin(std::string_view bytes) {
    if (!stdin_fd_ || stdin_ending_) return;
    if (!stdin_waiting_.empty()) {
        stdin_waiting_.append(bytes);
        return;
    }
    while (!bytes.empty()) {
        const ssize_t count = ::write(stdin_fd_.get(), bytes.data(), bytes.size());
        if (count >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            stdin_waiting_ = bytes;
            loop_.watch(stdin_fd_, EPOLLOUT, [this](std::uint32_t) { flush_stdin(); });
            for (const auto& client : clients_) update_client(*client);
            return;
        } else if (errno != EINTR) {
            return stdin_broken();
        }
    }
}

void ProcessStreams::flush_stdin() {
    const ssize_t count = ::write(stdin_fd_.get(), stdin_waiting_.data(), stdin_waiting_.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count < 0) return stdin_broken();
    stdin_waiting_.erase(0, static_cast<std::size_t>(count));
    if (!stdin_waiting_.empty()) return;
    stdin_waiting_ = {};
    loop_.unwatch(stdin_fd_);
    if (stdin_ending_) stdin_fd_.reset();
    stdin_has_room();
}

// The process closed its stdin: what clients still send is read and dropped.
void ProcessStreams::stdin_broken() {
    loop_.unwatch(stdin_fd_);
    stdin_waiting_ = {};
    if (!settings_.terminal) stdin_fd_.reset();
    stdin_has_room();
}

void ProcessStreams::stdin_has_room() {
    for (Client* client : current_clients()) {
        while (client->gone && client->input_open && stdin_waiting_.empty()) read_client(*client);
        update_client(*client);
    }
}

void ProcessStreams::close_stdin() {
    if (settings_.terminal || !stdin_fd_) return;
    if (!stdin_waiting_.empty()) {
        stdin_ending_ = true;
        return;
    }
    loop_.unwatch(stdin_fd_);
    stdin_fd_.reset();
}

}  // namespace berth::shim
