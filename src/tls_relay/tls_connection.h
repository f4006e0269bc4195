// A connection to a service behind TLS, as its client: made and verified by a deadline, then driven
// without blocking by who polls its socket. Trusts the system's authorities and those of a file.
// One thread.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace berth::tls_relay {

struct Target final {
    std::string address;  // in numbers
    std::uint16_t port = 0;
    std::string name;                           // what its certificate must be for
    bool verified = true;                       // false: whatever certificate it has
    std::string authorities, certificate, key;  // PEM files; may be empty
};

class TlsConnection final {
  public:
    /// Throws Error, in the words of Docker's own where it has some.
    TlsConnection(const Target& target, SteadyTime deadline);

    BorrowedFd socket() const { return socket_; }
    /// How much of `bytes` was taken; 0: when the socket is writable again. Throws Error when the
    /// connection broke.
    std::size_t write(std::string_view bytes);
    /// Reads and drops what the service says. False when it ended the connection.
    bool drain();
    /// Says that nothing follows.
    void close();

  private:
    struct Free final {
        void operator()(SSL* session) const;
        void operator()(SSL_CTX* context) const;
    };

    void connect(const Target& target, SteadyTime deadline);
    void load(const Target& target);
    void shake_hands(const Target& target, SteadyTime deadline);

    UniqueFd socket_;
    std::unique_ptr<SSL_CTX, Free> context_;
    std::unique_ptr<SSL, Free> session_;
};

}  // namespace berth::tls_relay
