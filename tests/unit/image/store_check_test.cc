#include "image/store_check.h"

#include <gtest/gtest.h>

#include "tests/unit/image/image_fixture.h"

namespace berth::image::test {
namespace {

/// What a disk would have: any of the layers may be hurt.
class FakeInventory final : public LayerInventory {
  public:
    std::vector<Digest> chain_ids() override { return present; }
    std::optional<std::string> problem_of(const Digest& chain_id, std::stop_token) override {
        const auto found = problems.find(chain_id);
        return found == problems.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<Digest> present;
    std::map<Digest, std::string> problems;
};

class StoreCheckTest : public ::testing::Test {
  protected:
    StoreCheckTest() {
        NewImage image;
        image.config = config_for({low_, top_});
        image.references = {Reference::parse("one").with_default_tag()};
        chain_ids_ = chain_ids({archive::sha256(low_), archive::sha256(top_)});
        for (const Digest& chain_id : chain_ids_) image.layers.push_back({chain_id, 1});
        id_ = store_.add(image).id;
        inventory_.present = chain_ids_;
    }
    StoreReport check() { return check_store(store_, inventory_, held_, {}); }

    TemporaryDirectory directory_;
    ImageStore store_{directory_.path()};
    FakeInventory inventory_;
    FakeSink sink_;
    std::set<Digest> held_;
    const std::string low_ = make_tar({{"a", "1"}});
    const std::string top_ = make_tar({{"b", "2"}});
    std::vector<Digest> chain_ids_;
    Digest id_ = archive::sha256("");
    FindUses unused_ = [](const Digest&) { return std::vector<ImageUse>(); };
};

TEST_F(StoreCheckTest, AWholeStoreHasNoFault) {
    const StoreReport report = check();
    EXPECT_EQ(report.images, 1U);
    EXPECT_EQ(report.layers, 2U);
    EXPECT_TRUE(report.faults.empty());
}

TEST_F(StoreCheckTest, ABrokenLayerBreaksItsImage) {
    inventory_.problems[chain_ids_[0]] = "spoilt";
    const StoreReport report = check();
    ASSERT_EQ(report.faults.size(), 2U);
    EXPECT_EQ(report.faults[0].kind, StoreFault::Kind::layer);
    EXPECT_EQ(report.faults[1].names, std::vector<std::string>{"one:latest"});
}

TEST_F(StoreCheckTest, AMissingLayerBreaksItsImage) {
    inventory_.present.pop_back();
    ASSERT_EQ(check().faults.size(), 1U);
    EXPECT_NE(check().faults[0].problem.find("is missing"), std::string::npos);
}

TEST_F(StoreCheckTest, ALayerOfARunningPullIsNotUnused) {
    const Digest other = archive::sha256("other");
    inventory_.present.push_back(other);
    EXPECT_EQ(check().faults.size(), 1U);
    const LayerLease lease = store_.lease({other});
    EXPECT_TRUE(check().faults.empty());
}

TEST_F(StoreCheckTest, ALayerOfAContainerIsNotUnused) {
    held_ = {archive::sha256("other")};
    inventory_.present.push_back(*held_.begin());
    EXPECT_TRUE(check().faults.empty());
}

TEST_F(StoreCheckTest, ABlobThatNothingNamesIsRemoved) {
    const Digest stray = archive::sha256("stray");
    replace_file(directory_.path() + "/content/blobs/sha256/" + stray.hex(), "stray", 0600,
                 Durability::process);
    const StoreReport report = check();
    ASSERT_EQ(report.faults.size(), 1U);
    EXPECT_EQ(report.faults[0].kind, StoreFault::Kind::unused_blob);
    repair_store(store_, sink_, report, unused_);
    EXPECT_TRUE(check().faults.empty());
}

TEST_F(StoreCheckTest, ADamagedManifestIsAFaultThatLeavesTheImage) {
    NewImage image;
    image.config = store_.config_text(id_);
    for (const Digest& chain_id : chain_ids_) image.layers.push_back({chain_id, 1});
    image.manifest = "{}";
    store_.add(image);
    EXPECT_TRUE(check().faults.empty());
    const std::string path =
        directory_.path() + "/content/blobs/sha256/" + archive::sha256("{}").hex();
    replace_file(path, "hurt", 0600, Durability::process);
    const StoreReport report = check();
    ASSERT_EQ(report.faults.size(), 1U);
    EXPECT_EQ(report.faults[0].kind, StoreFault::Kind::manifest);
    EXPECT_EQ(repair_store(store_, sink_, report, unused_).pull_again,
              std::vector<std::string>{"one:latest"});
    EXPECT_FALSE(exists(path));
    EXPECT_TRUE(check().faults.empty());
    store_.add(image);
    EXPECT_EQ(store_.manifests(id_), std::vector<std::string>{"{}"});
}

TEST_F(StoreCheckTest, ToOpenAStoreForACheckChangesNothing) {
    const std::string path = directory_.path() + "/content/blobs/sha256/" + id_.hex();
    replace_file(path, "hurt", 0600, Durability::process);
    const ImageStore found(directory_.path(), {}, Opening::as_found);
    ASSERT_EQ(check_store(found, inventory_, held_, {}).faults.size(), 1U);
    EXPECT_TRUE(exists(path));
    EXPECT_TRUE(ImageStore(directory_.path()).list().empty());
}

TEST_F(StoreCheckTest, RepairRemovesABrokenImageAndSaysWhatToPull) {
    inventory_.problems[chain_ids_[1]] = "spoilt";
    const StoreRepair repair = repair_store(store_, sink_, check(), unused_);
    EXPECT_EQ(repair.pull_again, std::vector<std::string>{"one:latest"});
    EXPECT_TRUE(store_.list().empty());
}

TEST_F(StoreCheckTest, RepairLeavesAnImageThatARunningContainerUses) {
    inventory_.problems[chain_ids_[1]] = "spoilt";
    const FindUses used = [](const Digest&) {
        return std::vector<ImageUse>{{.container = std::string(64, 'c'), .running = true}};
    };
    const StoreRepair repair = repair_store(store_, sink_, check(), used);
    EXPECT_EQ(repair.kept.size(), 1U);
    EXPECT_EQ(store_.list().size(), 1U);
}

}  // namespace
}  // namespace berth::image::test
