// The log driver `journald`: each line is a datagram of journald's native protocol, sent without
// libsystemd; one that is too large for a datagram goes as a sealed memory file. What journald does
// not take at once waits in a LogQueue.
#pragma once

#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "shim/log_driver.h"
#include "shim/log_pieces.h"
#include "shim/log_queue.h"

namespace berth::shim {

/// One field as the protocol has it: NAME=value, or with its length when it has a line break.
void append_journal_field(std::string& message, std::string_view name, std::string_view value);

class JournalLog final : public LogDriver {
  public:
    /// Throws Error when nothing listens at config.path.
    JournalLog(EventLoop& loop, const LogConfig& config);
    JournalLog(const JournalLog&) = delete;
    JournalLog& operator=(const JournalLog&) = delete;

    void write(unsigned char stream, std::string_view bytes) override;
    void end(unsigned char stream) override;
    bool full() const override { return queue_.full(); }
    bool idle() const override { return queue_.idle(); }
    void on_room(std::function<void()> callback) override { queue_.on_room(std::move(callback)); }

  private:
    std::string message_of(unsigned char number, const LogPiece& piece) const;
    LogQueue::Taken send(const std::string& message);
    LogQueue::Taken send_file(const std::string& message);
    void connect();
    void check_lost();

    std::string path_;
    std::string fields_;  // of every message
    UniqueFd socket_;
    LogQueue queue_;  // borrows the socket
    LogPieces out_, err_;
};

}  // namespace berth::shim
