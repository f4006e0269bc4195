#include "authority.h"

#include "base/base64.h"
#include "base/file.h"
#include "registry_process.h"

namespace berth::image::test {

Authority::Authority(const std::string& directory, const std::string& name)
    : directory_(directory + "/" + name),
      certificate_(directory_ + "/ca.pem"),
      key_(directory_ + "/ca.key") {
    make_directories(directory_);
    run_program({kOpenssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                 "/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
                 "-keyout", key_, "-out", certificate_});
}

KeyPair Authority::issue(const std::string& name, const std::string& subject) const {
    const std::string base = directory_ + "/" + name;
    const KeyPair result{base + ".pem", base + ".key"};
    run_program({kOpenssl, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name,
                 "-keyout", result.key, "-out", base + ".csr"});
    replace_file(base + ".ext",
                 "subjectAltName=" + subject + "\nextendedKeyUsage=serverAuth,clientAuth\n", 0600,
                 Durability::process);
    run_program({kOpenssl, "x509", "-req", "-in", base + ".csr", "-CA", certificate_, "-CAkey",
                 key_, "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out",
                 result.certificate});
    return result;
}

std::string Authority::sign_token(const std::string& header_and_claims) const {
    const std::string text = directory_ + "/token";
    replace_file(text, header_and_claims, 0600, Durability::process);
    run_program({kOpenssl, "dgst", "-sha256", "-sign", key_, "-out", text + ".sig", text});
    return header_and_claims + "." + base64url(read_file(text + ".sig"));
}

std::string Authority::x5c() const {
    const std::string der = directory_ + "/ca.der";
    run_program({kOpenssl, "x509", "-in", certificate_, "-outform", "DER", "-out", der});
    return encode_base64(read_file(der));
}

std::string base64url(const std::string& bytes) {
    std::string result = encode_base64(bytes);
    while (result.ends_with('=')) result.pop_back();
    for (char& c : result) {
        if (c == '+') c = '-';
        if (c == '/') c = '_';
    }
    return result;
}

}  // namespace berth::image::test
