#include "image/store.h"

#include <gtest/gtest.h>

#include <thread>

#include "image_fixture.h"

namespace berth::image {
namespace {

using test::config_for;
using test::error_of;
using test::kind_of;

class StoreTest : public testing::Test {
  protected:
    Digest add(const std::string& name, const std::vector<std::string>& tars) {
        NewImage image;
        image.config = config_for(tars);
        std::vector<Digest> diff_ids;
        for (const std::string& tar : tars) diff_ids.push_back(archive::sha256(tar));
        for (const Digest& chain_id : chain_ids(diff_ids)) image.layers.push_back({chain_id, 7});
        if (!name.empty()) image.references = {Reference::parse(name).with_default_tag()};
        image.manifest = "manifest of " + name;
        return store_->add(image).id;
    }
    Removal remove(const std::string& text, Force force = Force::no,
                   std::vector<ImageUse> uses = {}) {
        return store_->remove(text, force, PruneParents::yes, [&](const Digest&) { return uses; });
    }
    void reopen() {
        store_.reset();
        store_ = std::make_unique<ImageStore>(directory_.path());
    }

    test::TemporaryDirectory directory_;
    std::unique_ptr<ImageStore> store_ = std::make_unique<ImageStore>(directory_.path());
};

TEST_F(StoreTest, KeepsImagesOverReopening) {
    const Digest id = add("alpine", {"a", "b"});
    reopen();
    const Image image = store_->resolve("alpine");
    EXPECT_EQ(image.id, id);
    EXPECT_EQ(image.repo_tags(), std::vector<std::string>{"alpine:latest"});
    EXPECT_EQ(image.size(), 14);
    EXPECT_EQ(image.labels.at("a"), "b");
    EXPECT_EQ(store_->config(id).config.cmd->front(), "sh");
    EXPECT_EQ(store_->layers_in_use().size(), 2U);
}

TEST_F(StoreTest, DropsDamagedImagesAtOpen) {
    const Digest id = add("alpine", {"a"});
    replace_file(directory_.path() + "/content/blobs/sha256/" + id.hex(), "{}", 0600,
                 Durability::process);
    replace_file(directory_.path() + "/content/ingest/half", "x", 0600, Durability::process);
    reopen();
    EXPECT_TRUE(store_->list().empty());
    EXPECT_EQ(store_->open_notes().size(), 1U);
    EXPECT_FALSE(exists(directory_.path() + "/content/ingest/half"));
    EXPECT_FALSE(exists(directory_.path() + "/content/blobs/sha256/" + id.hex()));
}

TEST_F(StoreTest, ResolvesNamesIdsAndPrefixes) {
    const Digest id = add("alpine:3", {"a"});
    for (const std::string& text : {std::string("alpine:3"), id.str(), id.hex(), id.short_hex(),
                                    "sha256:" + id.short_hex(), std::string("docker.io/alpine:3")})
        EXPECT_EQ(store_->resolve(text).id, id) << text;
    EXPECT_EQ(error_of([&] { store_->resolve("alpine"); }), "No such image: alpine:latest");
    EXPECT_EQ(kind_of([&] { store_->resolve("alpine"); }), ErrorKind::not_found);
    for (int i = 0; i < 20; ++i) add("", {std::to_string(i)});
    bool ambiguous = false;
    for (const char c : std::string("0123456789abcdef"))
        ambiguous |= kind_of([&] { store_->resolve(std::string(1, c)); }) == ErrorKind::invalid;
    EXPECT_TRUE(ambiguous);
}

TEST_F(StoreTest, TagMovesAndNamesTheOldImage) {
    const Digest first = add("x", {"a"});
    const Digest second = add("y", {"b"});
    EXPECT_EQ(store_->tag(Reference::parse("x"), second), first);
    EXPECT_EQ(store_->resolve("x").id, second);
    EXPECT_TRUE(store_->get(first).dangling());
    EXPECT_EQ(
        kind_of([&] { store_->tag(Reference::parse("x@sha256:" + std::string(64, 'a')), second); }),
        ErrorKind::invalid);
}

TEST_F(StoreTest, RemovingOneOfTwoTagsOnlyUntags) {
    const Digest id = add("x:1", {"a"});
    store_->tag(Reference::parse("x:2"), id);
    const Removal removal = remove("x:1");
    ASSERT_EQ(removal.records.size(), 1U);
    EXPECT_EQ(removal.records[0].what, "x:1");
    EXPECT_EQ(store_->list().size(), 1U);
}

TEST_F(StoreTest, RemovingTheLastTagDeletesWhatNobodyElseUses) {
    const Digest id = add("x", {"a", "b"});
    store_->add({.config = config_for({"a", "b"}),
                 .layers = {{archive::sha256("a"), 7}, {archive::sha256("b"), 7}},
                 .manifest = std::nullopt,
                 .parent = std::nullopt,
                 .references = {Reference::parse("x@sha256:" + std::string(64, '1'))}});
    add("y", {"a"});
    const Removal removal = remove("x");
    ASSERT_EQ(removal.records.size(), 4U);
    EXPECT_EQ(removal.records[0].what, "x:latest");
    EXPECT_EQ(removal.records[1].what, "x@sha256:" + std::string(64, '1'));
    EXPECT_EQ(removal.records[2].what, id.str());
    ASSERT_EQ(removal.layers.chain_ids().size(), 1U);  // "a" is y's too
    EXPECT_EQ(removal.records[3].what, removal.layers.chain_ids()[0].str());
    EXPECT_FALSE(exists(directory_.path() + "/content/blobs/sha256/" + id.hex()));
}

TEST_F(StoreTest, ConflictsHaveDockersTexts) {
    const Digest id = add("x", {"a"});
    const std::string container(64, 'c');
    const std::vector<ImageUse> running{{container, true}};
    const std::vector<ImageUse> stopped{{container, false}};
    const std::string unable = "conflict: unable to delete " + id.short_hex();
    EXPECT_EQ(error_of([&] { remove("x", Force::no, running); }),
              "conflict: unable to remove repository reference \"x\" (must force) - container "
              "cccccccccccc is using its referenced image " +
                  id.short_hex());
    EXPECT_EQ(error_of([&] { remove(id.hex(), Force::yes, running); }),
              unable +
                  " (cannot be forced) - image is being used by running container "
                  "cccccccccccc");
    EXPECT_EQ(error_of([&] { remove(id.hex(), Force::no, stopped); }),
              unable +
                  " (must be forced) - image is being used by stopped container "
                  "cccccccccccc");
    store_->tag(Reference::parse("other"), id);
    EXPECT_EQ(error_of([&] { remove(id.hex()); }),
              unable + " (must be forced) - image is referenced in multiple repositories");
    EXPECT_EQ(store_->list().size(), 1U);
    remove("other");
    EXPECT_EQ(remove("x", Force::yes, running).records.size(), 1U);  // untagged, kept
    EXPECT_EQ(store_->list().size(), 1U);
    EXPECT_EQ(remove(id.hex(), Force::yes, stopped).records.size(), 2U);
    EXPECT_TRUE(store_->list().empty());
}

TEST_F(StoreTest, AnImageThatIsHeldLosesItsNamesOnly) {
    const Digest id = add("x", {"a"});
    {
        const ImageHold hold = store_->hold(id);
        EXPECT_EQ(remove("x").records.size(), 1U);
        EXPECT_EQ(error_of([&] { remove(id.hex(), Force::yes); }),
                  "conflict: unable to delete " + id.short_hex() +
                      " (cannot be forced) - image is being used by a running build");
    }
    EXPECT_EQ(remove(id.hex()).records.size(), 2U);
    EXPECT_THROW(store_->hold(id), Error);
}

TEST_F(StoreTest, LeasedLayersAreNotHandedOut) {
    add("x", {"a"});
    {
        const LayerLease lease = store_->lease({archive::sha256("a")});
        EXPECT_TRUE(remove("x").layers.chain_ids().empty());
    }
    EXPECT_EQ(store_->unused_of({archive::sha256("a")}).chain_ids().size(), 1U);
}

TEST_F(StoreTest, LeaseWaitsForADeletionInFlight) {
    add("x", {"a"});
    std::optional<Removal> removal = remove("x");
    ASSERT_EQ(removal->layers.chain_ids().size(), 1U);
    bool deleted = false;
    std::jthread waiter([&] {
        const LayerLease lease = store_->lease({archive::sha256("a")});
        EXPECT_TRUE(deleted);
    });
    deleted = true;
    removal.reset();
}

}  // namespace
}  // namespace berth::image
