#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <ctime>

#include "async/stream_protocol.h"

namespace berth::http {
namespace asio = boost::asio;

namespace {
constexpr std::size_t kFirstBuffer = 4U << 10;
constexpr std::size_t kBodyBuffer = 64U << 10;
constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kUseTuple = asio::as_tuple(asio::use_awaitable);

Error gone() { return Error(ErrorKind::cancelled, "the client went away"); }

/// "Date: ...\r\n"; formatted once a second, since every response carries it.
const std::string& date_header() {
    static thread_local std::time_t formatted = -1;
    static thread_local std::string header;
    const std::time_t now = std::time(nullptr);
    if (now != formatted) {
        std::tm parts{};
        ::gmtime_r(&now, &parts);
        std::array<char, 64> text{};
        std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        header = text.data();
        formatted = now;
    }
    return header;
}
/// Path and query of a target; RFC 9112 3.2.2: the form "http://HOST/path" must be taken as well.
std::string_view origin_form(std::string_view target) {
    const auto scheme = target.find("://");
    if (target.starts_with('/') || scheme == std::string_view::npos) return target;
    const auto path = target.find_first_of("/?", scheme + 3);
    return path == std::string_view::npos ? "/" : target.substr(path);
}
}  // namespace

Connection::Connection(const async::Executor& executor, UniqueFd socket, const Handler& handler,
                       const Limits& limits)
    : socket_(executor), handler_(handler), limits_(limits) {
    const auto protocol = async::protocol_of(socket);
    unix_ = protocol.family() == AF_UNIX;
    const int one = 1;
    if (!unix_) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    socket_.assign(protocol, socket.get());
    socket.release();  // NOLINT: the Asio socket closes it
}

std::string_view Connection::unread() const {
    return std::string_view(buffer_).substr(begin_, end_ - begin_);
}

void Connection::consume(std::size_t size) {
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
}

async::Task<bool> Connection::fill() {
    if (begin_ > 0) {
        buffer_.replace(0, end_ - begin_, buffer_, begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    const bool in_body = parser_ && parser_->head_done();
    const std::size_t wanted = std::max(in_body ? kBodyBuffer : kFirstBuffer, end_ * 2);
    if (buffer_.size() < wanted && buffer_.size() - end_ < kFirstBuffer / 2) buffer_.resize(wanted);
    if (in_body && buffer_.size() < kBodyBuffer) buffer_.resize(kBodyBuffer);
    waiting_since_ = std::chrono::steady_clock::now();
    const auto [error, size] = co_await socket_.async_read_some(
        asio::buffer(buffer_.data() + end_, buffer_.size() - end_), kUseTuple);
    waiting_since_ = SteadyTime::max();
    if (error == asio::error::eof) co_return false;
    if (error) throw gone();
    end_ += size;
    co_return true;
}

template <typename Buffers>
async::Task<> Connection::write(Buffers buffers) {
    const auto [error, size] = co_await asio::async_write(socket_, buffers, kUseTuple);
    if (error) throw gone();
}

// What only a request needs is not there meanwhile: clients keep thousands of connections.
async::Task<> Connection::wait_for_input() {
    parser_.reset();
    std::string().swap(buffer_);
    waiting_since_ = std::chrono::steady_clock::now();
    const auto [error] = co_await socket_.async_wait(asio::socket_base::wait_read, kUseTuple);
    if (error) throw gone();
}

async::Task<bool> Connection::read_head() {
    if (begin_ == end_) {
        if (stopping_) co_return false;
        co_await wait_for_input();
        const bool more = co_await fill();
        if (!more) co_return false;
    }
    parser_ = std::make_unique<MessageParser>(MessageParser::Kind::request, limits_.header_bytes);
    idle_ = false;
    if (take_head()) co_return true;
    // Only a head that comes in pieces pays for a timer.
    bool whole = false;
    co_await async::finish_by(std::chrono::steady_clock::now() + limits_.head_time,
                              rest_of_head(whole));
    co_return whole;
}

bool Connection::take_head() {
    if (begin_ < end_) consume(parser_->put(unread(), {}).consumed);
    return parser_->head_done();
}

async::Task<> Connection::rest_of_head(bool& whole) {
    for (bool more = true; more && !whole;) {
        more = co_await fill();
        whole = more && take_head();
    }
}

async::Task<std::size_t> Connection::read_body(std::span<char> into) {
    if (into.empty()) co_return 0;
    if (std::exchange(continue_wanted_, false)) {
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await write(asio::buffer(kContinue));
    }
    while (!parser_->done()) {
        const auto progress = parser_->put(unread(), into);
        consume(progress.consumed);
        if (progress.produced > 0) co_return progress.produced;
        if (parser_->done()) break;
        const bool more = co_await fill();
        if (!more)
            throw Error(ErrorKind::invalid, "the request's body ended early: unexpected EOF");
    }
    co_return 0;
}

Hijacked Connection::release() {
    Hijacked result;
    result.early = std::string(unread());
    begin_ = end_ = 0;
    boost::system::error_code error;
    result.socket = UniqueFd(socket_.release(error));
    if (error) throw gone();
    return result;
}

async::Task<> Connection::refuse() {
    const int status = parser_->too_large() ? 431 : 400;
    const std::string text = fmt::format("{} {}", status, reason_phrase(status));
    const std::string reply = fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{}",
        text, text);
    co_await write(asio::buffer(reply));
}

// Closing a socket with unread input resets it, and the reply could be lost on its way.
async::Task<> Connection::linger() {
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    auto discard = [this]() -> async::Task<> {
        begin_ = end_ = 0;
        for (bool more = true; more;) {
            more = co_await fill();
            begin_ = end_ = 0;
        }
    };
    co_await async::finish_by(std::chrono::steady_clock::now() + kLinger, discard());
}

// What the handler left of the body, so that the next request can be found behind it.
async::Task<> Connection::drain() {
    std::size_t left = limits_.drained_bytes;
    std::array<char, 4096> sink{};
    while (left > 0 && !parser_->done()) {
        const std::size_t size = co_await read_body(sink);
        left -= std::min(left, size);
    }
}

async::Task<Connection::Next> Connection::settle(Exchange& exchange, std::exception_ptr failure) {
    using Replied = Exchange::Replied;
    if (exchange.replied_ == Replied::hijacked) co_return Next::gone;
    if (failure && async::is_cancellation(failure)) co_return Next::gone;
    if (!exchange.replied()) {
        Response response;
        response.status = 500;
        response.headers.set("Content-Type", "text/plain; charset=utf-8");
        response.body =
            failure ? async::to_error(failure).message() : std::string("no answer was given");
        co_await exchange.reply(std::move(response));
    }
    if (exchange.replied_ == Replied::streaming) co_return Next::gone;
    if (!parser_->done() && !continue_wanted_ && exchange.keep_alive_) {
        bool malformed = false;
        try {
            co_await drain();
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) throw;
            malformed = true;  // answered already: there is no second reply
        }
        if (malformed) co_return Next::close;
    }
    if (!parser_->done()) co_return Next::linger;
    co_return exchange.keep_alive_ && !stopping_ ? Next::keep : Next::close;
}

async::Task<Connection::Next> Connection::answer() {
    Request request;
    request.method = std::move(parser_->method);
    request.target = std::move(parser_->target);
    request.headers = std::move(parser_->headers);
    request.version = parser_->version;
    continue_wanted_ = request.version >= 11 && request.headers.has_token("Expect", "100-continue");
    const std::string_view target = origin_form(request.target);
    const auto mark = std::min(target.find('?'), target.size());
    request.path = decode_percent(target.substr(0, mark), Plus::literal);
    try {
        if (mark < target.size()) request.query = Query::parse(target.substr(mark + 1));
    } catch (const Error& error) {
        request.query_problem = error.message();
    }
    // A request without a body is complete once an empty input was looked at.
    Exchange exchange(*this, std::move(request));
    if (!exchange.has_body()) continue_wanted_ = false;
    std::exception_ptr failure;
    try {
        co_await handler_(exchange);
    } catch (...) {
        failure = std::current_exception();
    }
    co_return co_await settle(exchange, failure);
}

async::Task<> Connection::run() {
    for (Next next = Next::keep; next == Next::keep;) {
        idle_ = true;
        bool malformed = false;
        try {
            next = Next::close;
            const bool more = co_await read_head();
            if (more) next = co_await answer();
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) co_return;
            malformed = true;
        }
        if (malformed) {
            co_await refuse();
            next = Next::linger;
        }
        if (next == Next::linger) co_await linger();
    }
}

void Connection::end_when_idle() {
    stopping_ = true;
    if (!idle_) return;
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

void Connection::drop() {
    waiting_since_ = SteadyTime::max();
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_both, ignored);
}

Exchange::Exchange(Connection& connection, Request request)
    : connection_(connection), request_(std::move(request)) {
    keep_alive_ = connection_.parser_->keep_alive();
}

bool Exchange::has_body() const {
    return connection_.parser_->chunked() || content_length().value_or(0) > 0;
}

std::optional<std::uint64_t> Exchange::content_length() const {
    return connection_.parser_->content_length();
}

async::Task<std::size_t> Exchange::read_body(std::span<char> into) {
    return connection_.read_body(into);
}

async::Task<std::string> Exchange::read_whole_body(std::size_t limit) {
    const Error too_large(ErrorKind::invalid, "the request's body is larger than {} bytes", limit);
    if (content_length().value_or(0) > limit) throw too_large;
    std::string body;
    body.reserve(content_length().value_or(0));
    std::array<char, 8192> piece{};
    for (std::size_t size = 1; size > 0;) {
        size = co_await read_body(piece);
        if (body.size() + size > limit) throw too_large;
        body.append(piece.data(), size);
    }
    co_return body;
}

std::string Exchange::head(int status, const Headers& headers) const {
    std::string text = fmt::format("HTTP/{}.{} {} {}\r\n", request_.version / 10,
                                   request_.version % 10, status, reason_phrase(status));
    for (const auto& [name, value] : headers.entries()) {
        text += name;
        text += ": ";
        text += value;
        text += "\r\n";
    }
    text += date_header();
    if (!keep_alive_)
        text += "Connection: close\r\n";
    else if (request_.version < 11)
        text += "Connection: keep-alive\r\n";
    return text;
}

async::Task<> Exchange::reply(Response response) {
    replied_ = Replied::whole;
    // A client that waits for "100 Continue" may or may not send its body now.
    if (connection_.continue_wanted_ ||
        (!connection_.parser_->done() &&
         content_length().value_or(0) > connection_.limits_.drained_bytes))
        keep_alive_ = false;
    std::string text = head(response.status, response.headers);
    const bool bodiless = response.status == 204 || response.status == 304;
    if (!bodiless) text += fmt::format("Content-Length: {}\r\n", response.body.size());
    text += "\r\n";
    if (bodiless || request_.method == "HEAD") response.body.clear();
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(text),
                                                    asio::buffer(response.body)};
    co_await connection_.write(buffers);
}

async::Task<> Exchange::stream(int status, Headers headers) {
    replied_ = Replied::streaming;
    chunked_ = request_.version >= 11;
    if (!chunked_) keep_alive_ = false;
    std::string text = head(status, headers);
    text += chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
    co_await connection_.write(asio::buffer(text));
}

async::Task<> Exchange::write(std::string_view bytes) {
    if (bytes.empty() || request_.method == "HEAD") co_return;
    if (!chunked_) {
        co_await connection_.write(asio::buffer(bytes));
        co_return;
    }
    const std::string size = fmt::format("{:x}\r\n", bytes.size());
    static constexpr std::string_view kEnd = "\r\n";
    const std::array<asio::const_buffer, 3> buffers{asio::buffer(size), asio::buffer(bytes),
                                                    asio::buffer(kEnd)};
    co_await connection_.write(buffers);
}

async::Task<> Exchange::finish() {
    static constexpr std::string_view kLast = "0\r\n\r\n";
    if (chunked_ && request_.method != "HEAD") co_await connection_.write(asio::buffer(kLast));
    replied_ = Replied::finished;
}

async::Task<Hijacked> Exchange::hijack(std::string head) {
    if (!head.empty()) co_await connection_.write(asio::buffer(head));
    replied_ = Replied::hijacked;
    co_return connection_.release();
}

std::string Exchange::socket_path() const {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(connection_.socket_.native_handle(), reinterpret_cast<sockaddr*>(&address),
                      &size) < 0 ||
        address.sun_family != AF_UNIX)
        return "";
    return {address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path)};
}

async::Task<> Exchange::cancel_on_disconnect(async::Task<> task) {
    struct Watch final {
        asio::cancellation_signal stop;
        async::CancelSource* source = nullptr;
    };
    async::CancelSource source;
    const auto watch = std::make_shared<Watch>();
    watch->source = &source;
    auto& socket = connection_.socket_;
    // epoll reports EPOLLHUP for a unix socket whose peer closed it, not for a half-close; tcp
    // shows both only as the end of its input.
    const bool tcp = !connection_.unix_;
    auto notice = [watch, &socket, tcp](const boost::system::error_code& error) {
        if (error || watch->source == nullptr) return;
        char byte = 0;
        if (tcp && ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return;
        watch->source->cancel();
    };
    socket.async_wait(tcp ? asio::socket_base::wait_read : asio::socket_base::wait_error,
                      asio::bind_cancellation_slot(watch->stop.slot(), std::move(notice)));
    std::exception_ptr failure;
    try {
        co_await async::run_cancellable(source, std::move(task));
    } catch (...) {
        failure = std::current_exception();
    }
    watch->source = nullptr;
    watch->stop.emit(asio::cancellation_type::terminal);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace berth::http
