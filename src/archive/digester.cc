#include "archive/digester.h"

#include <openssl/evp.h>

#include "base/error.h"

namespace berth::archive {
namespace {

struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct Digester::Context final {
    std::unique_ptr<EVP_MD_CTX, FreeContext> evp{EVP_MD_CTX_new()};
};

Digester::Digester() : context_(std::make_unique<Context>()) {
    if (!context_->evp || EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr) != 1)
        throw Error(ErrorKind::internal, "sha256 is not available in the cryptography library");
}

Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

void Digester::update(std::string_view bytes) {
    if (EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size()) != 1)
        throw Error(ErrorKind::internal, "computing sha256 failed");
}

Digest Digester::finish() {
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_->evp.get(), sum, &size) != 1)
        throw Error(ErrorKind::internal, "computing sha256 failed");
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned at = 0; at < size; ++at) {
        hex += kDigits[sum[at] >> 4];
        hex += kDigits[sum[at] & 15];
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
