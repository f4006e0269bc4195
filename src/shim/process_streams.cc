#include "shim/process_streams.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "shim/idle_memory.h"

// The output half and the life cycle; clients and input are in process_clients.cc.
namespace berth::shim {
namespace {

constexpr std::chrono::milliseconds kStreamEndWait{2000};

void set_nonblocking(BorrowedFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        throw_errno("making a stream non-blocking");
}

}  // namespace

ProcessStreams::ProcessStreams(EventLoop& loop, Settings settings)
    : loop_(loop), settings_(std::move(settings)) {
    if (settings_.log)
        settings_.log->on_room([this] {
            update_outputs();
            settle_drain();
        });
}

ProcessStreams::~ProcessStreams() {
    if (settings_.log) settings_.log->on_room(nullptr);
    for (Output& output : outputs_) loop_.unwatch(output.fd);
    if (stdin_fd_) loop_.unwatch(stdin_fd_);
    for (const auto& client : clients_) {
        loop_.unwatch(client->socket);
        loop_.cancel(client->stall_timer);
    }
    loop_.cancel(drain_timer_);
    loop_.cancel(burial_timer_);
}

ProcessStreams::ChildEnds ProcessStreams::make_pipes(Stdin stdin_kind) {
    ChildEnds ends;
    if (stdin_kind == Stdin::pipe) {
        Pipe pipe = Pipe::make();
        set_nonblocking(pipe.write);
        stdin_fd_ = std::move(pipe.write);
        ends.stdin_end = std::move(pipe.read);
    }
    const auto make_output = [&](unsigned char number) {
        Pipe pipe = Pipe::make();
        set_nonblocking(pipe.read);
        Output& output = outputs_.emplace_back();
        output.fd = std::move(pipe.read);
        output.number = number;
        output.logged = settings_.log != nullptr;
        return std::move(pipe.write);
    };
    ends.stdout_end = make_output(1);
    ends.stderr_end = make_output(2);
    return ends;
}

void ProcessStreams::set_terminal(UniqueFd master) {
    set_nonblocking(master);
    outputs_.clear();
    Output& output = outputs_.emplace_back();
    output.fd = duplicate(master);
    output.logged = settings_.log != nullptr;
    stdin_fd_ = std::move(master);
    for (Client* client : current_clients()) {  // they came before the terminal did
        client->input_open = client->options.stdin_stream || client->is_websocket();
        const std::string early = std::exchange(client->options.prefix, {});
        if (!early.empty()) take_input(*client, early);
        update_client(*client);
    }
}

void ProcessStreams::open() {
    opened_ = true;
    update_outputs();
}

void ProcessStreams::resize(std::uint16_t height, std::uint16_t width) {
    if (!settings_.terminal || !stdin_fd_)
        throw Error(ErrorKind::conflict, "the process has no terminal");
    winsize size{};
    size.ws_row = height;
    size.ws_col = width;
    if (::ioctl(stdin_fd_.get(), TIOCSWINSZ, &size) < 0) throw_errno("resizing the terminal");
}

std::string ProcessStreams::read_leftover() {
    std::string text;
    for (Output& output : outputs_) {
        const ssize_t count = ::read(output.fd.get(), read_buffer().data(), read_buffer().size());
        if (count > 0) text.append(read_buffer().data(), static_cast<std::size_t>(count));
    }
    return text;
}

bool ProcessStreams::held_back() const {
    if (settings_.log && settings_.log->full()) return true;
    return std::any_of(clients_.begin(), clients_.end(), [](const auto& client) {
        return client->phase == Client::Phase::attached && client->outbox.full();
    });
}

bool ProcessStreams::output_ended() const {
    return std::none_of(outputs_.begin(), outputs_.end(),
                        [](const Output& output) { return static_cast<bool>(output.fd); });
}

// Paused outputs are unwatched: a hang-up would be reported again and again.
void ProcessStreams::update_outputs() {
    const bool wanted = opened_ && !held_back();
    for (Output& output : outputs_) {
        if (!output.fd || output.watched == wanted) continue;
        output.watched = wanted;
        if (wanted)
            loop_.watch(output.fd, EPOLLIN,
                        [this, &output](std::uint32_t) { read_output(output); });
        else
            loop_.unwatch(output.fd);
    }
}

void ProcessStreams::read_output(Output& output) {
    const auto buffer = read_buffer();
    const ssize_t count = ::read(output.fd.get(), buffer.data(), buffer.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // A terminal whose last slave was closed says EIO.
    if (count <= 0) return end_output(output);
    if (discarding_) return;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    log(output, bytes);
    deliver(output, bytes);
    update_outputs();
}

void ProcessStreams::end_output(Output& output) {
    loop_.unwatch(output.fd);
    output.fd.reset();
    output.watched = false;
    end_log(output);
    settle_drain();
    settle_finish();
}

void ProcessStreams::log(Output& output, std::string_view bytes) {
    if (!output.logged) return;
    try {
        settings_.log->write(output.number, bytes);
        log_broken_ = false;
    } catch (const Error& error) {
        // A full disk must not stop the container: records are lost, and that is said once.
        if (!log_broken_) settings_.on_problem(error.message());
        log_broken_ = true;
    }
}

void ProcessStreams::end_log(Output& output) {
    if (!std::exchange(output.logged, false)) return;
    try {
        settings_.log->end(output.number);
    } catch (const Error& error) {
        settings_.on_problem(error.message());
    }
}

void ProcessStreams::drain(std::function<void()> done) {
    draining_ = true;
    drained_ = std::move(done);
    for (Client* client : current_clients())
        if (client->outbox.full()) spool(*client);
    opened_ = true;
    update_outputs();
    drain_timer_ = loop_.after(kStreamEndWait, [this] {
        drain_timer_ = 0;
        discarding_ = true;
        for (Output& output : outputs_) end_log(output);
        settle_drain();
    });
    settle_drain();
}

void ProcessStreams::settle_drain() {
    if (!drained_ || !(discarding_ || output_ended())) return;
    if (settings_.log && !settings_.log->idle()) return;
    loop_.cancel(drain_timer_);
    const auto done = std::exchange(drained_, nullptr);
    done();
}

void ProcessStreams::abandon_output() {
    for (Output& output : outputs_)
        if (output.fd) end_output(output);
}

}  // namespace berth::shim
