// Incremental HTTP/1.1 parsing of one message, for server and client. The only user of Beast
// (parser.cc), whose headers stay out of here. No IO: bytes in, values and body bytes out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"

namespace berth::http {

class MessageParser final {
  public:
    enum class Kind { request, response };
    enum class Body { expected, none };  // none: the answer to HEAD
    struct Progress final {
        std::size_t consumed = 0;  // of the input
        std::size_t produced = 0;  // into the body span
    };

    MessageParser(Kind kind, std::size_t header_limit, Body body = Body::expected);
    ~MessageParser();
    MessageParser(const MessageParser&) = delete;
    MessageParser& operator=(const MessageParser&) = delete;

    /// Takes what it can: up to the end of the head, then body bytes as far as `into` has room.
    /// Nothing consumed and nothing produced means: more input is needed. Throws Error{invalid}.
    Progress put(std::string_view input, std::span<char> into);
    /// The peer ended the stream. Throws Error{invalid} when that is in mid-message.
    void put_end();

    bool started() const;  // any byte was taken
    bool head_done() const;
    bool done() const;
    bool too_large() const;  // why put() threw: the head is past its limit
    bool chunked() const;
    bool keep_alive() const;
    std::optional<std::uint64_t> content_length() const;

    // Valid once head_done().
    std::string method;
    std::string target;
    int status = 0;
    int version = 11;
    Headers headers;

  private:
    struct Machine;
    template <bool IsRequest>
    struct Beast;
    std::unique_ptr<Machine> machine_;
};

}  // namespace berth::http
