// One connection of the server: reads requests, runs the handler, writes what Exchange replies.
// Internal to src/http; lives in the coroutine that runs it.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <memory>
#include <string>

#include "async/task.h"
#include "http/parser.h"
#include "http/server.h"

namespace berth::http {

class Connection final {
  public:
    Connection(const async::Executor& executor, UniqueFd socket, const Handler& handler,
               const Limits& limits);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Serves requests until the connection ends. Throws only cancellations.
    async::Task<> run();
    /// No request is being answered. The next one will not be read after end_when_idle().
    bool idle() const { return idle_; }
    void end_when_idle();
    /// When it began to wait for its client's next bytes; SteadyTime::max() while it does not.
    SteadyTime waiting_since() const { return waiting_since_; }
    /// Ends it whatever the client has begun to send.
    void drop();

  private:
    friend class Exchange;
    enum class Next { keep, close, linger, gone };

    /// False when there is no (further) request: end of the stream, or its time is over.
    async::Task<bool> read_head();
    async::Task<> wait_for_input();
    async::Task<> rest_of_head(bool& whole);
    /// Parses what has come; true when the head is complete.
    bool take_head();
    async::Task<Next> answer();
    async::Task<Next> settle(Exchange& exchange, std::exception_ptr failure);
    async::Task<> refuse();
    async::Task<> linger();
    async::Task<> drain();

    /// Reads more input into the buffer; false at the end of the stream.
    async::Task<bool> fill();
    async::Task<std::size_t> read_body(std::span<char> into);
    template <typename Buffers>
    async::Task<> write(Buffers buffers);
    Hijacked release();
    std::string_view unread() const;
    void consume(std::size_t size);

    boost::asio::generic::stream_protocol::socket socket_;
    const Handler& handler_;
    const Limits& limits_;
    std::unique_ptr<MessageParser> parser_;
    std::string buffer_;  // [begin_, end_) is input not parsed yet
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    SteadyTime waiting_since_ = SteadyTime::max();
    bool unix_ = false;
    bool idle_ = true;
    bool stopping_ = false;
    bool continue_wanted_ = false;
};

}  // namespace berth::http
