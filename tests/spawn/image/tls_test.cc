// Pulls over https from a host that is not insecure by default: whom the client trusts, and what
// it says when it does not.
#include <stdlib.h>

#include "image/push.h"
#include "outside_fixture.h"

namespace berth::image {
namespace {

using test::Authority;
using test::error_of;
using test::KeyPair;
using test::kind_of;

class TlsTest : public test::OutsideTest {
  protected:
    static bool has(const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos;
    }
};

TEST_F(TlsTest, AnAuthorityInCertsDIsTrusted) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority);
    trust("ca.crt", authority.certificate());
    const PullResult result = pull("app:1");
    EXPECT_EQ(archive::sha256(store_->config_text(result.id)), result.id);
    EXPECT_EQ(pull("app@" + result.manifest_digest.str()).id, result.id);
    EXPECT_EQ(sink_.applied(), 2);
}

/// For an image whose layers are all at the registry.
class NoArchives final : public LayerArchives {
  public:
    LayerArchive open(const Digest& chain_id) override {
        throw Error(ErrorKind::internal, "{} was not to be sent", chain_id.str());
    }
};

TEST_F(TlsTest, APushTrustsTheSameAuthorityAndKeepsTheDigest) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority);
    NoArchives archives;
    const auto copy = [&](const PullResult& pulled) {
        const Reference target = Reference::parse(registry_->host() + "/copy:1");
        store_->tag(target, pulled.id);
        image::push(*store_, archives, settings_,
                    {.reference = target, .platform = "", .credentials = {}}, lines_.callback(),
                    {});
    };
    trust("ca.crt", authority.certificate());
    const PullResult pulled = pull("app:1");
    copy(pulled);
    EXPECT_EQ(pull("copy:1").manifest_digest, pulled.manifest_digest);
    settings_.certificate_directories.clear();
    EXPECT_TRUE(has(error_of([&] { copy(pulled); }), "failed to verify certificate"));
}

TEST_F(TlsTest, TheUsersCertsDIsTheDefaultPlace) {
    ::setenv("XDG_CONFIG_HOME", path("config").c_str(), 1);
    settings_.certificate_directories = RegistrySettings::default_certificate_directories();
    ::unsetenv("XDG_CONFIG_HOME");
    EXPECT_EQ(settings_.certificate_directories.front(), path("config/docker/certs.d"));
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority);
    const std::string directory = path("config/docker/certs.d/" + registry_->host());
    make_directories(directory);
    replace_file(directory + "/ca.crt", read_file(authority.certificate()), 0600,
                 Durability::process);
    EXPECT_NO_THROW(pull("app:1"));
}

TEST_F(TlsTest, AnUnknownAuthorityIsRefusedAndTheRemedyNamed) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    const Authority other(directory_.path(), "other");
    serve_tls(authority);
    std::string error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, "Get \"https://" + registry_->host() +
                               "/v2/app/manifests/1\": tls: "
                               "failed to verify certificate: "))
        << error;
    EXPECT_TRUE(has(error, path("certs.d/" + registry_->host()) + "/ca.crt")) << error;
    trust("ca.crt", other.certificate());
    error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, "failed to verify certificate")) << error;
    EXPECT_TRUE(store_->list().empty());
}

TEST_F(TlsTest, ACertificateForAnotherHostIsRefused) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority, "DNS:another.example");
    trust("ca.crt", authority.certificate());
    const std::string error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, "failed to verify certificate")) << error;
}

TEST_F(TlsTest, InsecureHostsAreNotVerified) {
    push("app:1");
    serve_tls(Authority(directory_.path(), "own"));
    settings_.insecure_registries = {"192.0.2.0/24"};
    EXPECT_NO_THROW(pull("app:1"));
}

TEST_F(TlsTest, AClientCertificateIsShown) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority, "IP:192.0.2.1",
              "    clientcas:\n      - " + authority.certificate() + "\n");
    trust("ca.crt", authority.certificate());
    const std::string error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, path("certs.d/" + registry_->host()) + "/client.cert and client.key"))
        << error;
    const KeyPair client = authority.issue("joe", "DNS:joe");
    trust("client.cert", client.certificate);
    EXPECT_TRUE(has(error_of_pull("app:1"), "missing key "));
    trust("client.key", client.key);
    EXPECT_NO_THROW(pull("app:1"));
}

TEST_F(TlsTest, AFailureOverHttpsIsNotHiddenByThePlainAttempt) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority, "IP:192.0.2.1",
              "    clientcas:\n      - " + authority.certificate() + "\n");
    settings_.insecure_registries = {registry_->host()};
    const std::string error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, "Get \"https://")) << error;
    EXPECT_TRUE(has(error, "/client.cert and client.key")) << error;
}

TEST_F(TlsTest, AKeyWithoutItsCertificateIsAMistake) {
    const Authority authority(directory_.path(), "own");
    serve_tls(authority);
    trust("client.key", authority.certificate());
    EXPECT_TRUE(has(error_of_pull("app:1"), "missing client certificate "));
}

TEST_F(TlsTest, DamagedBytesAreFoundOverHttpsToo) {
    push("app:1");
    const Authority authority(directory_.path(), "own");
    serve_tls(authority);
    trust("ca.crt", authority.certificate());
    const PullResult result = pull("app:1");
    const nlohmann::json manifest =
        nlohmann::json::parse(read_file(registry_->blob_file(result.manifest_digest.hex())));
    const Digest layer = Digest::parse(manifest["layers"][0]["digest"].get<std::string>());
    std::string bytes = read_file(registry_->blob_file(layer.hex()));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    replace_file(registry_->blob_file(layer.hex()), bytes, 0644, Durability::process);
    ImageStore empty(path("empty"));
    test::FakeSink sink;
    Puller puller(empty, sink, settings_);
    EXPECT_EQ(kind_of([&] {
                  puller.pull({.reference = Reference::parse(registry_->host() + "/app:1"),
                               .platform = "",
                               .credentials = {}},
                              lines_.callback(), {});
              }),
              ErrorKind::invalid);
    EXPECT_TRUE(empty.list().empty());
    EXPECT_EQ(sink.count(), 0U);
}

TEST_F(TlsTest, PlainHttpIsRefusedUnlessTheHostIsListed) {
    push("app:1");
    serve({.address = test::kOutside, .tls = "", .auth = ""});
    EXPECT_EQ(error_of_pull("app:1"), "Get \"https://" + registry_->host() +
                                          "/v2/app/manifests/1\": http: server gave HTTP response "
                                          "to HTTPS client");
    for (const std::string& wrong : {std::string("192.0.3.0/24"), std::string("192.0.2.1:1")}) {
        settings_.insecure_registries = {wrong};
        EXPECT_NE(error_of_pull("app:1"), "");
    }
    for (const std::string& listed : {registry_->host(), std::string("192.0.2.0/30")}) {
        settings_.insecure_registries = {listed};
        EXPECT_EQ(error_of_pull("app:1"), "");
    }
}

}  // namespace
}  // namespace berth::image
