// Pushes to a real registry (Debian's docker-registry), and pulls from it again.
#include <gtest/gtest.h>

#include "image/blob_records.h"
#include "image/pull.h"
#include "image/push.h"
#include "image_fixture.h"
#include "registry_process.h"

namespace berth::image {
namespace {

using test::config_for;
using test::error_of;
using test::kind_of;
using test::make_tar;
using test::RegistryAccess;
using test::RegistryProcess;

/// Gives the tars back that a test made its image of.
class FakeArchives final : public LayerArchives {
  public:
    void add(const Digest& chain_id, std::string tar) { tars_[chain_id] = std::move(tar); }
    LayerArchive open(const Digest& chain_id) override {
        ++opened;
        const std::string& tar = tars_.at(chain_id);
        return {static_cast<std::int64_t>(tar.size()),
                std::make_unique<archive::MemorySource>(tar)};
    }
    std::atomic<int> opened = 0;

  private:
    std::map<Digest, std::string> tars_;
};

class PushTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string missing = test::missing_programs(); !missing.empty())
            GTEST_SKIP() << missing;
        start(RegistryAccess::open);
        settings_.retry_step = std::chrono::milliseconds(1);
        settings_.certificate_directories.clear();
        NewImage image;
        image.config = config_for(tars_);
        const std::vector<Digest> chain = chain_ids(
            {archive::sha256(tars_[0]), archive::sha256(tars_[1]), archive::sha256(tars_[2])});
        for (std::size_t i = 0; i < tars_.size(); ++i) {
            archives_.add(chain[i], tars_[i]);
            image.layers.push_back({chain[i], static_cast<std::int64_t>(tars_[i].size())});
        }
        id_ = store_.add(image).id.str();
    }
    void start(RegistryAccess access) {
        registry_.reset();
        registry_ = std::make_unique<RegistryProcess>(directory_.path(), access);
    }
    Reference name(const std::string& text) const {
        return Reference::parse(registry_->host() + "/" + text);
    }
    void push(const std::string& text, Credentials credentials = {}, std::stop_token stop = {}) {
        store_.tag(name(text), Digest::parse(id_));
        image::push(store_, archives_, settings_,
                    {.reference = name(text), .platform = "", .credentials = credentials},
                    lines_.callback(), std::move(stop));
    }
    int count(std::string_view part) const {
        return static_cast<int>(std::ranges::count_if(
            lines_.text, [&](const std::string& line) { return line.contains(part); }));
    }

    test::TemporaryDirectory directory_;
    ImageStore store_{directory_.path() + "/images"};
    FakeArchives archives_;
    test::Lines lines_;
    RegistrySettings settings_;
    std::unique_ptr<RegistryProcess> registry_;
    const std::vector<std::string> tars_{make_tar({{"a", std::string(3U << 20, 'x')}}),
                                         make_tar({{"b", "2"}}), make_tar({{"c", "3"}})};
    std::string id_;
};

TEST_F(PushTest, WhatWasPushedIsPulledTheSame) {
    push("team/app:1");
    EXPECT_EQ(count("\"Preparing\""), 3);
    EXPECT_EQ(count("\"Pushed\""), 3);
    EXPECT_TRUE(lines_.contain("The push refers to repository [" + registry_->host()));
    ImageStore other(directory_.path() + "/other");
    test::FakeSink sink;
    Puller puller(other, sink, settings_);
    const PullResult back =
        puller
            .pull({.reference = name("team/app:1"), .platform = "", .credentials = {}},
                  lines_.callback(), {})
            .at(0);
    EXPECT_EQ(back.id.str(), id_);
    EXPECT_TRUE(store_.find(name("team/app").with_digest(back.manifest_digest)));
}

TEST_F(PushTest, ASecondPushSendsNothing) {
    push("app:1");
    const int opened = archives_.opened;
    push("app:2");
    EXPECT_EQ(count("Layer already exists"), 3);
    push("elsewhere:1");
    EXPECT_EQ(count("Mounted from app"), 3);
    EXPECT_EQ(archives_.opened, opened);
}

TEST_F(PushTest, WhatTheRegistryForgotIsSentAgain) {
    push("app:1");
    const std::string host = registry_->host();
    remove_tree(directory_.path() + "/data");
    start(RegistryAccess::open);
    push("app:1");
    EXPECT_EQ(count("\"Pushed\""), 6);
}

TEST_F(PushTest, ALayerThatWasChangedIsNotPushed) {
    archives_.add(chain_ids({archive::sha256(tars_[0])})[0], make_tar({{"a", "another"}}));
    EXPECT_NE(error_of([&] { push("app:1"); }).find("were changed"), std::string::npos);
}

TEST_F(PushTest, APasswordIsAskedForInDockersWords) {
    start(RegistryAccess::password);
    EXPECT_EQ(error_of([&] { push("app:1"); }), "no basic auth credentials");
    Credentials credentials;
    credentials.username = "joe";
    credentials.password = "wrong";
    EXPECT_EQ(kind_of([&] { push("app:1", credentials); }), ErrorKind::unauthorized);
    credentials.password = "secret";
    EXPECT_NO_THROW(push("app:1", credentials));
}

TEST_F(PushTest, AStopEndsIt) {
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(kind_of([&] { push("app:1", {}, source.get_token()); }), ErrorKind::cancelled);
}

TEST_F(PushTest, BlobRecordsOutliveTheEngineAndDamageIsNoHarm) {
    push("app:1");
    const Digest diff_id = archive::sha256(tars_[1]);
    const std::string path = directory_.path() + "/images/images/blobs.json";
    const std::vector<BlobRecord> known = BlobRecords(path).of(diff_id);
    ASSERT_EQ(known.size(), 1U);
    EXPECT_EQ(known[0].repositories, std::vector<std::string>{registry_->host() + "/app"});
    replace_file(path, "{", 0600, Durability::process);
    EXPECT_TRUE(BlobRecords(path).of(diff_id).empty());
}

}  // namespace
}  // namespace berth::image
