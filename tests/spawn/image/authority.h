// A certificate authority of the test's own, made with openssl.
#pragma once

#include <string>

namespace berth::image::test {

constexpr const char* kOpenssl = "/usr/bin/openssl";

struct KeyPair final {
    std::string certificate;  // file
    std::string key;          // file
};

class Authority final {
  public:
    /// Its files lie in `directory`/`name`.
    Authority(const std::string& directory, const std::string& name);
    const std::string& certificate() const { return certificate_; }
    /// `subject` is "IP:192.0.2.1" or "DNS:name".
    KeyPair issue(const std::string& name, const std::string& subject) const;
    /// A token as docker-registry takes it, signed with the authority's key.
    std::string sign_token(const std::string& header_and_claims) const;
    /// The certificate as a token's x5c names it: base64 of DER.
    std::string x5c() const;

  private:
    std::string directory_;
    std::string certificate_;
    std::string key_;
};

/// base64url without padding
std::string base64url(const std::string& bytes);

}  // namespace berth::image::test
