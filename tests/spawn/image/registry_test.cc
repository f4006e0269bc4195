// Pulls from a real registry (Debian's docker-registry), filled by skopeo.
#include <gtest/gtest.h>

#include "image/pull.h"
#include "image_fixture.h"
#include "registry_process.h"

namespace berth::image {
namespace {

using nlohmann::json;
using test::config_for;
using test::error_of;
using test::kind_of;
using test::make_tar;
using test::RegistryAccess;
using test::RegistryProcess;

class RegistryTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string missing = test::missing_programs(); !missing.empty())
            GTEST_SKIP() << missing;
        start(RegistryAccess::open);
    }
    void start(RegistryAccess access) {
        registry_.reset();
        registry_ = std::make_unique<RegistryProcess>(directory_.path(), access);
        settings_.retry_step = std::chrono::milliseconds(1);
        settings_.certificate_directories.clear();
    }
    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    std::string destination(const std::string& name) const {
        return "docker://" + registry_->host() + "/" + name;
    }
    /// A docker-archive with two layers, for skopeo.
    std::string write_archive() const {
        const json manifest{{{"Config", "c.json"}, {"RepoTags", {"a:1"}}, {"Layers", {"1", "2"}}}};
        const std::string bytes = make_tar({{"c.json", config_for(tars_)},
                                            {"1", tars_[0]},
                                            {"2", tars_[1]},
                                            {"manifest.json", manifest.dump()}});
        replace_file(path("image.tar"), bytes, 0600, Durability::process);
        return "docker-archive:" + path("image.tar");
    }
    PullResult pull(const std::string& name, const std::string& platform = "",
                    Credentials credentials = {}) {
        Puller puller(store_, sink_, settings_);
        return puller
            .pull({.reference = Reference::parse(registry_->host() + "/" + name),
                   .platform = platform,
                   .credentials = std::move(credentials)},
                  lines_.callback(), {})
            .at(0);
    }

    test::TemporaryDirectory directory_;
    ImageStore store_{directory_.path() + "/images"};
    test::FakeSink sink_;
    test::Lines lines_;
    RegistrySettings settings_;
    std::unique_ptr<RegistryProcess> registry_;
    const std::vector<std::string> tars_{make_tar({{"a", std::string(3U << 20, 'x')}}),
                                         make_tar({{"b", "2"}})};
};

TEST_F(RegistryTest, PullsByTagAndByDigest) {
    test::skopeo_copy({write_archive(), destination("team/app:1")});
    const PullResult first = pull("team/app:1");
    EXPECT_EQ(first.id, archive::sha256(store_.config_text(first.id)));
    EXPECT_EQ(store_.config(first.id).diff_ids[0], archive::sha256(tars_[0]));
    const PullResult second = pull("team/app@" + first.manifest_digest.str());
    EXPECT_EQ(second.id, first.id);
    EXPECT_EQ(sink_.applied(), 2);
    EXPECT_EQ(error_of([&] { pull("team/app:2"); }),
              "manifest for " + registry_->host() +
                  "/team/app:2 not found: manifest unknown: manifest unknown");
}

TEST_F(RegistryTest, PullsEveryTag) {
    test::skopeo_copy({write_archive(), destination("app:1")});
    test::skopeo_copy({write_archive(), destination("app:2")});
    Puller puller(store_, sink_, settings_);
    const auto results = puller.pull({.reference = Reference::parse(registry_->host() + "/app"),
                                      .platform = "",
                                      .credentials = {}},
                                     lines_.callback(), {});
    EXPECT_EQ(results.size(), 2U);
    EXPECT_EQ(store_.list().at(0).tags.size(), 2U);
}

TEST_F(RegistryTest, PullsZstdLayersInOciForm) {
    test::skopeo_copy({"--format", "oci", "--dest-compress-format", "zstd", write_archive(),
                       destination("app:zstd")});
    const PullResult result = pull("app:zstd");
    EXPECT_EQ(store_.config(result.id).diff_ids.size(), 2U);
    EXPECT_EQ(sink_.count(), 2U);
}

TEST_F(RegistryTest, ChoosesThePlatformFromAnIndex) {
    const auto blob = [&](const std::string& type, const std::string& bytes) {
        const Digest digest = archive::sha256(bytes);
        replace_file(path("layout/blobs/sha256/" + digest.hex()), bytes, 0600, Durability::process);
        return json{{"mediaType", type}, {"digest", digest.str()}, {"size", bytes.size()}};
    };
    make_directories(path("layout/blobs/sha256"));
    json manifests = json::array();
    for (const char* architecture : {"amd64", "arm64"}) {
        const std::string tar = make_tar({{architecture, "x"}});
        const json manifest{
            {"schemaVersion", 2},
            {"mediaType", oci::kOciManifest},
            {"config", blob(std::string(oci::kOciImageConfig), config_for({tar}, architecture))},
            {"layers", {blob("application/vnd.oci.image.layer.v1.tar", tar)}}};
        json entry = blob(std::string(oci::kOciManifest), manifest.dump());
        entry["platform"] = {{"os", "linux"}, {"architecture", architecture}};
        manifests.push_back(entry);
    }
    const json index{{"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", manifests}};
    const json top{{"schemaVersion", 2},
                   {"manifests", {blob(std::string(oci::kOciIndex), index.dump())}}};
    replace_file(path("layout/index.json"), top.dump(), 0600, Durability::process);
    replace_file(path("layout/oci-layout"), R"({"imageLayoutVersion":"1.0.0"})", 0600,
                 Durability::process);
    test::skopeo_copy(
        {"--all", "--preserve-digests", "oci:" + path("layout"), destination("app:m")});

    const PullResult arm = pull("app:m", "linux/arm64");
    EXPECT_EQ(store_.config(arm.id).platform.architecture, "arm64");
    EXPECT_EQ(arm.manifest_digest, archive::sha256(index.dump()));
    EXPECT_EQ(store_.config(pull("app:m", "linux/amd64").id).platform.architecture, "amd64");
    EXPECT_EQ(error_of([&] { pull("app:m", "linux/s390x"); }),
              "no matching manifest for linux/s390x in the manifest list entries");
}

TEST_F(RegistryTest, ACorruptBlobFailsAndLeavesNothing) {
    test::skopeo_copy({write_archive(), destination("app:1")});
    const PullResult result = pull("app:1");
    const json manifest =
        json::parse(read_file(registry_->blob_file(result.manifest_digest.hex())));
    const Digest layer = Digest::parse(manifest["layers"][0]["digest"].get<std::string>());
    {
        const Removal removal =
            store_.remove(result.id.str(), Force::yes, PruneParents::yes,
                          [](const Digest&) { return std::vector<ImageUse>{}; });
        for (const Digest& chain_id : removal.layers.chain_ids()) sink_.remove(chain_id);
    }
    std::string bytes = read_file(registry_->blob_file(layer.hex()));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    replace_file(registry_->blob_file(layer.hex()), bytes, 0644, Durability::process);
    EXPECT_EQ(kind_of([&] { pull("app:1"); }), ErrorKind::invalid);
    EXPECT_TRUE(store_.list().empty());
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(RegistryTest, AsksForThePassword) {
    test::skopeo_copy({write_archive(), destination("app:1")});
    start(RegistryAccess::password);
    EXPECT_TRUE(error_of([&] { pull("app:1"); }).ends_with("no basic auth credentials"));
    Credentials credentials;
    credentials.username = "joe";
    credentials.password = "wrong";
    EXPECT_EQ(kind_of([&] { pull("app:1", "", credentials); }), ErrorKind::unauthorized);
    credentials.password = "secret";
    EXPECT_NO_THROW(pull("app:1", "", credentials));
}

}  // namespace
}  // namespace berth::image
