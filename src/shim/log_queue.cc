#include "shim/log_queue.h"

namespace berth::shim {
namespace {

// A burst that a log service works off in milliseconds.
constexpr std::size_t kBlockingLimit = 256U << 10;

}  // namespace

LogQueue::LogQueue(EventLoop& loop, const LogConfig& config, Send send)
    : loop_(loop),
      send_(std::move(send)),
      blocking_(!config.non_blocking),
      limit_(blocking_ ? kBlockingLimit : static_cast<std::size_t>(config.max_buffer)) {}

LogQueue::~LogQueue() {
    let_go();
    loop_.cancel(patience_);
}

void LogQueue::use(BorrowedFd socket, std::uint32_t event) {
    let_go();
    socket_ = socket;
    event_ = event;
    update_watch();
}

void LogQueue::let_go() {
    if (std::exchange(watched_, false)) loop_.unwatch(socket_);
    socket_ = {};
}

void LogQueue::add(std::string message) {
    if (waiting_.empty()) {
        const Taken taken = send_(message);
        if (taken == Taken::lost) ++lost_;
        if (taken != Taken::later) return;
    }
    queue(std::move(message));
}

void LogQueue::queue(std::string message) {
    if (!blocking_ && waiting_bytes_ + message.size() > limit_) {
        ++lost_;
        return;
    }
    waiting_bytes_ += message.size();
    waiting_.push_back(std::move(message));
    update_watch();
    if (full()) begin_patience();
}

void LogQueue::finish() {
    finishing_ = true;
    flush();
    if (!idle()) begin_patience();
}

void LogQueue::flush() {
    while (!waiting_.empty()) {
        const std::size_t before = waiting_.front().size();
        const Taken taken = send_(waiting_.front());
        if (taken == Taken::later) {
            waiting_bytes_ -= before - waiting_.front().size();
            break;
        }
        if (taken == Taken::lost) ++lost_;
        waiting_bytes_ -= before;
        waiting_.pop_front();
    }
    update_watch();
}

// Of a connected socket the kernel tells when the other side takes more.
void LogQueue::update_watch() {
    const bool wanted = socket_ && !waiting_.empty();
    if (wanted == watched_) return;
    watched_ = wanted;
    if (wanted)
        loop_.watch(socket_, event_, [this](std::uint32_t) { socket_writable(); });
    else if (socket_)
        loop_.unwatch(socket_);
}

void LogQueue::socket_writable() {
    const bool was_full = full();
    flush();
    if (full() || (finishing_ && !idle())) return;
    loop_.cancel(std::exchange(patience_, 0));
    if ((was_full || finishing_) && on_room_) on_room_();
}

void LogQueue::begin_patience() {
    if (patience_ != 0) return;
    patience_ = loop_.after(kPatience, [this] {
        patience_ = 0;
        give_up();
        if (on_room_) on_room_();
    });
}

void LogQueue::give_up() {
    lost_ += waiting_.size();
    waiting_.clear();
    waiting_bytes_ = 0;
    update_watch();
}

}  // namespace berth::shim
