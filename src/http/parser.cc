#include "http/parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>

#include "base/error.h"

namespace berth::http {
namespace beast = boost::beast;
using boost::system::error_code;

struct MessageParser::Machine {
    virtual ~Machine() = default;
    virtual std::size_t put(std::string_view input, error_code& error) = 0;
    virtual void put_end(error_code& error) = 0;
    virtual bool started() const = 0;
    virtual bool head_done() const = 0;
    virtual bool done() const = 0;
    virtual bool chunked() const = 0;
    virtual bool keep_alive() const = 0;
    virtual std::optional<std::uint64_t> content_length() const = 0;

    std::span<char> room;
    std::size_t produced = 0;
    bool too_large = false;
};

template <bool IsRequest>
struct MessageParser::Beast final : Machine, beast::http::basic_parser<IsRequest> {
    using Base = beast::http::basic_parser<IsRequest>;
    using View = beast::string_view;

    explicit Beast(MessageParser& owner) : message(owner) {}

    std::size_t put(std::string_view input, error_code& error) override {
        return Base::put(boost::asio::const_buffer(input.data(), input.size()), error);
    }
    void put_end(error_code& error) override { Base::put_eof(error); }
    bool started() const override { return Base::got_some(); }
    bool head_done() const override { return Base::is_header_done(); }
    bool done() const override { return Base::is_done(); }
    bool chunked() const override { return Base::chunked(); }
    bool keep_alive() const override { return Base::keep_alive(); }
    std::optional<std::uint64_t> content_length() const override {
        const auto length = Base::content_length();
        return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
    }

    void on_request_impl(beast::http::verb, View method, View target, int version,
                         error_code&) override {
        message.method = std::string(method.data(), method.size());
        message.target = std::string(target.data(), target.size());
        message.version = version;
    }
    void on_response_impl(int code, View, int version, error_code&) override {
        message.status = code;
        message.version = version;
    }
    void on_field_impl(beast::http::field, View name, View value, error_code&) override {
        message.headers.add(std::string(name.data(), name.size()),
                            std::string(value.data(), value.size()));
    }
    void on_header_impl(error_code& error) override {
        error = {};
        // Where such a request ends cannot be known.
        if (IsRequest && !Base::chunked() && message.headers.find("Transfer-Encoding") != nullptr)
            error = beast::http::error::bad_transfer_encoding;
    }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code& error) override {
        error = {};
    }
    std::size_t on_body_impl(View body, error_code& error) override { return take(body, error); }
    void on_chunk_header_impl(std::uint64_t, View, error_code& error) override { error = {}; }
    std::size_t on_chunk_body_impl(std::uint64_t, View body, error_code& error) override {
        return take(body, error);
    }
    void on_finish_impl(error_code& error) override { error = {}; }

    std::size_t take(View body, error_code& error) {
        error = {};
        const std::size_t size = std::min(body.size(), room.size());
        if (size > 0) std::memcpy(room.data(), body.data(), size);
        room = room.subspan(size);
        produced += size;
        if (size == 0) error = beast::http::error::need_buffer;
        return size;
    }

    MessageParser& message;
};

MessageParser::MessageParser(Kind kind, std::size_t header_limit, Body body) {
    const auto prepare = [&](auto parser) {
        // Beast's limit is 32 bits wide.
        parser->header_limit(static_cast<std::uint32_t>(header_limit));
        parser->body_limit(boost::none);
        if (body == Body::none) parser->skip(true);
        machine_ = std::move(parser);
    };
    if (kind == Kind::request)
        prepare(std::make_unique<Beast<true>>(*this));
    else
        prepare(std::make_unique<Beast<false>>(*this));
}

MessageParser::~MessageParser() = default;

MessageParser::Progress MessageParser::put(std::string_view input, std::span<char> into) {
    Progress progress;
    machine_->room = into;
    machine_->produced = 0;
    const bool had_head = head_done();
    while (!done() && progress.consumed < input.size()) {
        error_code error;
        const std::size_t taken = machine_->put(input.substr(progress.consumed), error);
        progress.consumed += taken;
        if (error == beast::http::error::need_more || error == beast::http::error::need_buffer)
            break;
        if (error) {
            machine_->too_large = error == beast::http::error::header_limit;
            throw Error(ErrorKind::invalid, "malformed HTTP message: {}", error.message());
        }
        if (!had_head && head_done()) break;
        if (head_done() && machine_->room.empty()) break;
    }
    progress.produced = machine_->produced;
    return progress;
}

void MessageParser::put_end() {
    if (!started()) throw Error(ErrorKind::invalid, "malformed HTTP message: it is empty");
    error_code error;
    machine_->put_end(error);
    if (error) throw Error(ErrorKind::invalid, "malformed HTTP message: {}", error.message());
}

bool MessageParser::started() const { return machine_->started(); }
bool MessageParser::head_done() const { return machine_->head_done(); }
bool MessageParser::done() const { return machine_->done(); }
bool MessageParser::too_large() const { return machine_->too_large; }
bool MessageParser::chunked() const { return machine_->chunked(); }
bool MessageParser::keep_alive() const { return machine_->keep_alive(); }
std::optional<std::uint64_t> MessageParser::content_length() const {
    return machine_->content_length();
}

}  // namespace berth::http
