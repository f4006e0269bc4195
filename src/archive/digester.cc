#include "archive/digester.h"

// The plain functions, deprecated in favour of EVP: they need neither providers nor configuration,
// so that of a static libcrypto only the hash itself is linked (EVP maps 3 MB).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace berth::archive {

struct Digester::Context final {
    SHA256_CTX hash;
};

Digester::Digester() : context_(std::make_unique<Context>()) { SHA256_Init(&context_->hash); }

Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

void Digester::update(std::string_view bytes) {
    SHA256_Update(&context_->hash, bytes.data(), bytes.size());
}

Digest Digester::finish() {
    unsigned char sum[SHA256_DIGEST_LENGTH];
    SHA256_Final(sum, &context_->hash);
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const unsigned char byte : sum) {
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
    }
    return Digest::from_hex(hex);
}

Digest sha256(std::string_view bytes) {
    Digester digester;
    digester.update(bytes);
    return digester.finish();
}

std::size_t DigestSource::read(std::span<char> buffer) {
    const std::size_t count = below_.read(buffer);
    digester_.update({buffer.data(), count});
    size_ += count;
    return count;
}

void DigestSink::write(std::string_view bytes) {
    digester_.update(bytes);
    size_ += bytes.size();
    below_.write(bytes);
}

}  // namespace berth::archive
