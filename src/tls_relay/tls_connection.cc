#include "tls_relay/tls_connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/text.h"
#include "linux/socket_address.h"

namespace berth::tls_relay {
namespace {

/// What OpenSSL says of the failure: the first of its records is the nearest to the cause.
std::string reason() {
    const unsigned long code = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(code)) return to_lower(errno_text(ERR_GET_REASON(code)));
    const char* text = ERR_reason_error_string(code);
    return text == nullptr ? "unknown failure" : text;
}

std::string text_of(const Target& target) {
    const bool v6 = target.address.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", target.address, v6 ? "]" : "", target.port);
}

void wait_for(BorrowedFd socket, short events, SteadyTime deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poller{socket.get(), events, 0};
    if (left.count() <= 0 || ::poll(&poller, 1, static_cast<int>(left.count())) == 0)
        throw Error(ErrorKind::unavailable, "i/o timeout");
}

[[noreturn]] void refuse_handshake(SSL* session) {
    const long verified = SSL_get_verify_result(session);
    if (verified != X509_V_OK)
        throw Error(ErrorKind::unavailable, "tls: failed to verify certificate: x509: {}",
                    X509_verify_cert_error_string(verified));
    throw Error(ErrorKind::unavailable, "tls: {}", reason());
}

}  // namespace

void TlsConnection::Free::operator()(SSL* session) const { SSL_free(session); }
void TlsConnection::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

TlsConnection::TlsConnection(const Target& target, SteadyTime deadline)
    : context_(SSL_CTX_new(TLS_client_method())) {
    if (!context_) throw Error(ErrorKind::internal, "tls: {}", reason());
    load(target);
    connect(target, deadline);
    shake_hands(target, deadline);
}

void TlsConnection::load(const Target& target) {
    SSL_CTX* context = context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // A record that carries no data (a session ticket) must not make a read wait for one that does.
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(context, target.verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_default_verify_paths(context);
    if (!target.authorities.empty() &&
        SSL_CTX_load_verify_locations(context, target.authorities.c_str(), nullptr) != 1)
        throw Error(ErrorKind::invalid, "could not read CA certificate \"{}\": {}",
                    target.authorities, reason());
    if (target.certificate.empty() && target.key.empty()) return;
    if (SSL_CTX_use_certificate_chain_file(context, target.certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, target.key.c_str(), SSL_FILETYPE_PEM) != 1)
        throw Error(ErrorKind::invalid,
                    "Could not load X509 key pair: certificate \"{}\", key \"{}\": {}",
                    target.certificate, target.key, reason());
}

void TlsConnection::connect(const Target& target, SteadyTime deadline) {
    const auto ip = IpAddress::from(target.address);
    if (!ip || target.port == 0)
        throw Error(ErrorKind::invalid, "{} is no address", text_of(target));
    const linux_os::SocketAddress address(*ip, target.port);
    socket_.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) throw_errno("making a socket");
    int error = 0;
    if (::connect(socket_.get(), address.get(), address.length()) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            wait_for(socket_, POLLOUT, deadline);
            socklen_t size = sizeof error;
            ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        }
    }
    if (error != 0)
        throw Error(ErrorKind::unavailable, "dial tcp {}: connect: {}", text_of(target),
                    to_lower(errno_text(error)));
}

void TlsConnection::shake_hands(const Target& target, SteadyTime deadline) {
    session_.reset(SSL_new(context_.get()));
    SSL* session = session_.get();
    if (session == nullptr || SSL_set_fd(session, socket_.get()) != 1)
        throw Error(ErrorKind::internal, "tls: {}", reason());
    if (IpAddress::is_valid(target.name)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), target.name.c_str());
    } else {
        SSL_set_tlsext_host_name(session, target.name.c_str());
        SSL_set1_host(session, target.name.c_str());
    }
    for (;;) {
        ERR_clear_error();
        const int result = SSL_connect(session);
        if (result == 1) return;
        const int wanted = SSL_get_error(session, result);
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
            refuse_handshake(session);
        wait_for(socket_, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
    }
}

std::size_t TlsConnection::write(std::string_view bytes) {
    ERR_clear_error();
    std::size_t taken = 0;
    const int result = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &taken);
    if (result == 1) return taken;
    const int wanted = SSL_get_error(session_.get(), result);
    if (wanted == SSL_ERROR_WANT_WRITE || wanted == SSL_ERROR_WANT_READ) return 0;
    throw Error(ErrorKind::unavailable, "tls: {}", reason());
}

bool TlsConnection::drain() {
    std::array<char, 4096> dropped;
    for (;;) {
        ERR_clear_error();
        const int result = SSL_read(session_.get(), dropped.data(), dropped.size());
        if (result > 0) continue;
        const int wanted = SSL_get_error(session_.get(), result);
        return wanted == SSL_ERROR_WANT_READ || wanted == SSL_ERROR_WANT_WRITE;
    }
}

void TlsConnection::close() { SSL_shutdown(session_.get()); }

}  // namespace berth::tls_relay
