// Bearer authentication at a real registry: the token service is the test's own, the registry
// checks the tokens it signs.
#include <atomic>
#include <ctime>

#include "canned_server.h"
#include "outside_fixture.h"

namespace berth::image {
namespace {

using nlohmann::json;
using test::base64url;
using test::CannedAnswer;
using test::CannedRequest;
using test::CannedServer;
using test::error_of;
using test::kind_of;

constexpr const char* kBasicJoeSecret = "Authorization: Basic am9lOnNlY3JldA==";

class TokenTest : public test::OutsideTest {
  protected:
    void SetUp() override {
        OutsideTest::SetUp();
        if (IsSkipped()) return;
        signer_ = std::make_unique<test::Authority>(directory_.path(), "signer");
        service_ = std::make_unique<CannedServer>(
            [this](const CannedRequest& request) { return answer(request); });
        push("team/app:1");
        options_.auth =
            "  token:\n    realm: http://" + service_->host() +
            "/token\n    service: berth-test\n    issuer: tester\n    rootcertbundle: " +
            signer_->certificate() + "\n";
    }
    void TearDown() override { service_.reset(); }

    /// A token that lets its bearer pull team/app.
    std::string make_token() const {
        const std::time_t now = std::time(nullptr);
        const json header{{"typ", "JWT"}, {"alg", "RS256"}, {"x5c", {signer_->x5c()}}};
        const json access{{"type", "repository"}, {"name", "team/app"}, {"actions", {"pull"}}};
        const json claims{{"iss", "tester"},     {"sub", "joe"},
                          {"aud", "berth-test"}, {"exp", now + 600},
                          {"nbf", now - 60},     {"iat", now},
                          {"jti", "1"},          {"access", json::array({access})}};
        return signer_->sign_token(base64url(header.dump()) + "." + base64url(claims.dump()));
    }
    CannedAnswer answer(const CannedRequest& request) const {
        const bool is_joe = request.method == "GET" && request.has(kBasicJoeSecret) &&
                            request.target.find("account=joe") != std::string::npos;
        // The body of a POST is read no further than its head: its length tells the tokens apart.
        const bool is_refresh = request.method == "POST" && !request.has("Authorization:") &&
                                request.has("Content-Type: application/x-www-form-urlencoded");
        if (is_joe) return {.status = 200, .body = json{{"token", token_}}.dump(), .headers = {}};
        if (is_refresh)
            return {.status = 200, .body = json{{"access_token", token_}}.dump(), .headers = {}};
        return {.status = 401,
                .body = R"({"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]})",
                .headers = {}};
    }

    std::unique_ptr<test::Authority> signer_;
    std::unique_ptr<CannedServer> service_;
    test::RegistryOptions options_;
    std::string token_;
};

TEST_F(TokenTest, PasswordIdentityTokenAndRegistryTokenOpenTheRegistry) {
    serve(options_);
    token_ = make_token();
    Credentials password;
    password.username = "joe";
    password.password = "secret";
    EXPECT_EQ(error_of([&] { pull("team/app:1", password); }), "");
    EXPECT_EQ(service_->count("/token?service=berth-test&scope=repository%3Ateam%2Fapp%3Apull"), 1);

    Credentials identity;
    identity.username = "<token>";
    identity.identity_token = "refresh me";
    EXPECT_EQ(error_of([&] { pull("team/app:1", identity); }), "");
    EXPECT_EQ(service_->requests().back().method, "POST");
    EXPECT_EQ(service_->requests().back().target, "/token");

    const std::size_t asked = service_->requests().size();
    Credentials bearer;
    bearer.registry_token = token_;
    EXPECT_EQ(error_of([&] { pull("team/app:1", bearer); }), "");
    EXPECT_EQ(service_->requests().size(), asked);
}

TEST_F(TokenTest, WrongPasswordAndWrongTokenAreUnauthorized) {
    serve(options_);
    Credentials password;
    password.username = "joe";
    password.password = "wrong";
    EXPECT_EQ(kind_of([&] { pull("team/app:1", password); }), ErrorKind::unauthorized);
    EXPECT_EQ(error_of([&] { pull("team/app:1", password); }), "unauthorized: who are you");
    Credentials bearer;
    bearer.registry_token = "bogus";
    EXPECT_EQ(kind_of([&] { pull("team/app:1", bearer); }), ErrorKind::unauthorized);
    EXPECT_TRUE(store_->list().empty());
}

TEST_F(TokenTest, AnHttpsRegistryCannotHaveThePasswordSentInTheOpen) {
    const test::Authority authority(directory_.path(), "own");
    const test::KeyPair pair = authority.issue("server", "IP:192.0.2.1");
    options_.address = test::kOutside;
    options_.tls = "    certificate: " + pair.certificate + "\n    key: " + pair.key + "\n";
    serve(options_);
    trust("ca.crt", authority.certificate());
    Credentials password;
    password.username = "joe";
    password.password = "secret";
    EXPECT_EQ(error_of([&] { pull("team/app:1", password); }),
              "refusing to send credentials in the open to http://" + service_->host() + "/token");
    EXPECT_TRUE(service_->requests().empty());
}

}  // namespace
}  // namespace berth::image
