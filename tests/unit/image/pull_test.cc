#include "image/pull.h"

#include <gtest/gtest.h>

#include <atomic>

#include "canned_server.h"
#include "image_fixture.h"

namespace berth::image {
namespace {

using nlohmann::json;
using test::CannedAnswer;
using test::CannedRequest;
using test::CannedServer;
using test::config_for;
using test::error_of;
using test::gzip;
using test::kind_of;
using test::make_tar;

/// A repository "app" with the tag "1": two layers, served from memory.
class PullTest : public testing::Test {
  protected:
    PullTest() {
        for (const std::string& layer : layers_) blobs_[archive::sha256(layer).str()] = layer;
        blobs_[archive::sha256(config_).str()] = config_;
        json list = json::array();
        for (const std::string& layer : layers_) list.push_back(descriptor("layer", layer));
        manifest_ = json{
            {"schemaVersion", 2},
            {"mediaType", oci::kOciManifest},
            {"config", descriptor("config", config_)},
            {"layers",
             list}}.dump();
        settings_.retry_step = std::chrono::milliseconds(1);
        settings_.certificate_directories.clear();
    }
    static json descriptor(const std::string& type, const std::string& bytes) {
        return {
            {"mediaType", type}, {"digest", archive::sha256(bytes).str()}, {"size", bytes.size()}};
    }
    static CannedAnswer refusal(int status, const std::string& code, const std::string& message) {
        const json body{{"errors", {{{"code", code}, {"message", message}}}}};
        return {.status = status, .body = body.dump(), .headers = {}};
    }
    CannedAnswer serve(const CannedRequest& request) const {
        if (request.target == "/v2/app/manifests/1") return {.status = 200, .body = manifest_};
        const std::size_t digest = request.target.find("sha256:");
        if (digest != std::string::npos) {
            const auto blob = blobs_.find(request.target.substr(digest));
            if (blob != blobs_.end()) return {.status = 200, .body = blob->second};
        }
        return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    std::vector<PullResult> pull(const CannedServer& server, const std::string& tag = "1",
                                 const std::string& platform = "") {
        Puller puller(store_, sink_, settings_);
        return puller.pull({.reference = Reference::parse(server.host() + "/app", tag),
                            .platform = platform,
                            .credentials = credentials_},
                           lines_.callback(), {});
    }

    test::TemporaryDirectory directory_;
    ImageStore store_{directory_.path()};
    test::FakeSink sink_;
    test::Lines lines_;
    RegistrySettings settings_;
    Credentials credentials_;
    const std::vector<std::string> tars_{make_tar({{"a", "1"}}), make_tar({{"b", "2"}})};
    const std::vector<std::string> layers_{gzip(tars_[0]), gzip(tars_[1])};
    const std::string config_ = config_for(tars_);
    std::map<std::string, std::string> blobs_;
    std::string manifest_;
};

TEST_F(PullTest, WritesDockersLinesAndIsUpToDateTheSecondTime) {
    CannedServer server([&](const CannedRequest& request) { return serve(request); });
    const auto first = pull(server);
    const std::string digest = archive::sha256(manifest_).str();
    const std::string id = archive::sha256(layers_[0]).short_hex();
    EXPECT_EQ(lines_.text.front(), "{\"status\":\"Pulling from app\",\"id\":\"1\"}\r\n");
    for (const char* status :
         {"Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"})
        EXPECT_TRUE(lines_.contain(fmt::format(
            "{{\"status\":\"{}\",\"progressDetail\":{{}},\"id\":\"{}\"}}", status, id)));
    EXPECT_TRUE(lines_.contain("{\"status\":\"Digest: " + digest + "\"}"));
    EXPECT_TRUE(lines_.contain("Status: Downloaded newer image for " + server.host() + "/app:1"));
    EXPECT_EQ(store_.get(first[0].id).repo_digests(),
              std::vector<std::string>{server.host() + "/app@" + digest});
    lines_.text.clear();
    EXPECT_EQ(pull(server)[0].change, PullChange::up_to_date);
    EXPECT_FALSE(lines_.contain("Already exists"));
    EXPECT_TRUE(lines_.contain("Status: Image is up to date for "));
    EXPECT_EQ(sink_.applied(), 2);
}

TEST_F(PullTest, UnknownTagIsNotFoundBeforeTheFirstLine) {
    CannedServer server([&](const CannedRequest& request) { return serve(request); });
    EXPECT_EQ(error_of([&] { pull(server, "none"); }), "manifest for " + server.host() +
                                                           "/app:none not found: manifest "
                                                           "unknown: manifest unknown");
    EXPECT_TRUE(lines_.text.empty());
}

TEST_F(PullTest, ADamagedBlobLeavesNothing) {
    CannedServer server([&](const CannedRequest& request) {
        CannedAnswer answer = serve(request);
        if (request.target.find(archive::sha256(layers_[1]).hex()) != std::string::npos)
            answer.body[20] = static_cast<char>(answer.body[20] + 1);
        return answer;
    });
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::invalid);
    EXPECT_EQ(sink_.count(), 0U);
    EXPECT_TRUE(store_.list().empty());
    EXPECT_FALSE(lines_.contain("Status: "));
}

TEST_F(PullTest, AWrongDiffIdLeavesNothing) {
    const std::string other = config_for({tars_[1], tars_[0]});
    blobs_[archive::sha256(other).str()] = other;
    json manifest = json::parse(manifest_);
    manifest["config"] = descriptor("config", other);
    manifest_ = manifest.dump();
    CannedServer server([&](const CannedRequest& request) { return serve(request); });
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::invalid);
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(PullTest, AHangUpIsTriedAgainFromWhereItStopped) {
    std::atomic<int> cuts = 0;
    const std::string& layer = layers_[0];
    CannedServer server([&](const CannedRequest& request) {
        CannedAnswer answer = serve(request);
        if (request.target.find(archive::sha256(layer).hex()) == std::string::npos) return answer;
        if (cuts++ == 0) {
            answer.cut = 25;
        } else if (request.has("Range: bytes=25-")) {
            answer.status = 206;
            answer.body = layer.substr(25);
        }
        return answer;
    });
    pull(server);
    EXPECT_TRUE(lines_.contain("Retrying in 1 second"));
    EXPECT_EQ(sink_.count(), 2U);
}

TEST_F(PullTest, ABrokenRegistryGivesUpAfterFiveAttempts) {
    CannedServer server([&](const CannedRequest& request) {
        if (request.target.find(archive::sha256(layers_[0]).hex()) == std::string::npos)
            return serve(request);
        return CannedAnswer{.status = 503, .body = "<html>"};
    });
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::internal);
    EXPECT_EQ(server.count(archive::sha256(layers_[0]).hex()), 5);
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(PullTest, TokenFlowSendsCredentialsToTheRealmOnly) {
    credentials_.username = "joe";
    credentials_.password = "secret";
    std::string realm;
    CannedServer server([&](const CannedRequest& request) -> CannedAnswer {
        if (request.target.starts_with("/token")) {
            EXPECT_TRUE(request.has("Authorization: Basic am9lOnNlY3JldA=="));
            EXPECT_NE(request.target.find("scope=repository%3Aapp%3Apull"), std::string::npos);
            return {.status = 200, .body = R"({"token":"T1"})"};
        }
        if (request.has("Authorization: Bearer T1")) return serve(request);
        EXPECT_FALSE(request.has("Basic"));
        return {.status = 401,
                .body = "",
                .headers = {
                    {"WWW-Authenticate", "Bearer realm=\"" + realm +
                                             "\",service=\"s\",scope=\"repository:app:pull\""}}};
    });
    realm = "http://" + server.host() + "/token";
    EXPECT_EQ(pull(server).size(), 1U);
    EXPECT_EQ(server.count("/token"), 1);
}

TEST_F(PullTest, RedirectedBlobsDoNotSeeTheAuthorization) {
    credentials_.username = "joe";
    CannedServer blobs([&](const CannedRequest& request) { return serve(request); });
    CannedServer server([&](const CannedRequest& request) -> CannedAnswer {
        if (!request.has("Authorization: Basic"))
            return {.status = 401, .body = "", .headers = {{"WWW-Authenticate", "Basic realm=x"}}};
        if (request.target.find("/blobs/") == std::string::npos) return serve(request);
        return {.status = 307,
                .body = "",
                .headers = {{"Location", "http://" + blobs.host() + request.target}}};
    });
    EXPECT_EQ(pull(server).size(), 1U);
    EXPECT_EQ(blobs.count("/blobs/"), 3);
    for (const CannedRequest& request : blobs.requests())
        EXPECT_FALSE(request.has("Authorization"));
}

TEST_F(PullTest, RefusalsHaveDockersKindsAndTexts) {
    CannedAnswer answer;
    CannedServer server([&](const CannedRequest&) { return answer; });
    const std::string name = server.host() + "/app";
    answer = refusal(403, "DENIED", "requested access to the resource is denied");
    EXPECT_EQ(error_of([&] { pull(server); }),
              "pull access denied for " + name +
                  ", repository does not exist or may require 'docker login': denied: requested "
                  "access to the resource is denied");
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::not_found);
    answer = refusal(401, "UNAUTHORIZED", "authentication required");
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::unauthorized);
    answer = refusal(429, "TOOMANYREQUESTS", "slow down");
    EXPECT_EQ(error_of([&] { pull(server); }), "toomanyrequests: slow down");
    answer = refusal(404, "NAME_UNKNOWN", "not here");
    EXPECT_EQ(error_of([&] { pull(server); }),
              "repository " + name + " not found: name unknown: not here");
    answer = {.status = 200, .body = "{\"schemaVersion\":1}"};
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::invalid);
    answer = {.status = 200, .body = std::string(5U << 20, 'x')};
    EXPECT_EQ(kind_of([&] { pull(server); }), ErrorKind::invalid);
}

TEST_F(PullTest, AnotherPlatformThanTheImagesIsWarnedOf) {
    CannedServer server([&](const CannedRequest& request) { return serve(request); });
    EXPECT_EQ(pull(server, "1", "linux/s390x")[0].change, PullChange::downloaded);
    EXPECT_TRUE(lines_.contain("does not match the specified platform (linux/s390x)"));
}

TEST_F(PullTest, PullsOfOneImageShareItsLayers) {
    CannedServer server([&](const CannedRequest& request) { return serve(request); });
    Puller puller(store_, sink_, settings_);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                puller.pull({.reference = Reference::parse(server.host() + "/app:1"),
                             .platform = "",
                             .credentials = {}},
                            [](const Progress&) {}, {});
            });
    }
    EXPECT_EQ(sink_.applied(), 2);
    EXPECT_EQ(server.count(archive::sha256(layers_[0]).hex()), 1);
    EXPECT_EQ(store_.list().size(), 1U);
}

TEST_F(PullTest, StoppingEndsAPullThatHangs) {
    std::stop_source stop;
    CannedServer server([&](const CannedRequest& request) {
        if (request.target.find(archive::sha256(layers_[0]).hex()) != std::string::npos)
            stop.request_stop();
        return serve(request);
    });
    Puller puller(store_, sink_, settings_);
    EXPECT_EQ(kind_of([&] {
                  puller.pull({.reference = Reference::parse(server.host() + "/app:1"),
                               .platform = "",
                               .credentials = {}},
                              lines_.callback(), stop.get_token());
              }),
              ErrorKind::cancelled);
    EXPECT_TRUE(store_.list().empty());
    EXPECT_EQ(sink_.count(), 0U);
}

}  // namespace
}  // namespace berth::image
