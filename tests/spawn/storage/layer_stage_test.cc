// Layers that are unpacked beside each other and put in place together.
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class LayerStage : public LayerFixture {
  protected:
    std::unique_ptr<StagedLayer> stage(const std::function<void(TarWriter&)>& fill,
                                       LowerLayers lower) const {
        const std::string tar = tar_of(fill);
        archive::MemorySource source(tar);
        return store_->stage({.lower = std::move(lower), .expected_diff_id = {}}, source);
    }
    static std::vector<UniqueFd> files_of(const StagedLayer& layer) {
        std::vector<UniqueFd> files;
        files.push_back(duplicate(layer.files()));
        return files;
    }
    static std::vector<UniqueFd> unexpected() {
        ADD_FAILURE() << "the layers below were asked for";
        return {};
    }
};

TEST_F(LayerStage, LayersBelowAreNotAskedForWhereATarBringsItsDirectories) {
    const auto staged = stage(
        [](TarWriter& tar) {
            tar.add({.path = "etc", .type = EntryType::directory, .mode = 0755});
            tar.add({.path = "etc/name"}, "web");
            tar.add({.path = "etc/.wh.old"});
            tar.add({.path = "etc/link", .type = EntryType::hard_link, .link_target = "etc/name"});
        },
        unexpected);
    EXPECT_EQ(store_->list().size(), 0U);
}

TEST_F(LayerStage, ALayerWaitsForTheOneBelowWhereItNeedsIt) {
    std::promise<std::unique_ptr<StagedLayer>> lower;
    std::promise<void> asked;
    std::unique_ptr<StagedLayer> base;
    std::unique_ptr<StagedLayer> top;
    std::jthread upper([&] {
        top = stage([](TarWriter& tar) { tar.add({.path = "bin/x"}, "x"); },
                    [&] {
                        asked.set_value();
                        base = lower.get_future().get();
                        return files_of(*base);
                    });
    });
    asked.get_future().wait();
    lower.set_value(stage(
        [](TarWriter& tar) {
            tar.add({.path = "usr/bin", .type = EntryType::directory, .mode = 0711});
            tar.add({.path = "bin", .type = EntryType::symlink, .link_target = "usr/bin"});
        },
        {}));
    upper.join();
    const std::vector<Layer> layers = store_->commit(std::nullopt, {base.get(), top.get()});
    ASSERT_EQ(layers.size(), 2U);
    EXPECT_EQ(layers[1].parent, layers[0].chain_id);
    EXPECT_EQ(read_file(file(layers[1], "usr/bin/x")), "x");
    EXPECT_EQ(status(file(layers[1], "usr/bin")).st_mode & 07777, 0711U);
}

TEST_F(LayerStage, ARootThatNoTarBringsIsAsTheParents) {
    const auto base = stage(
        [](TarWriter& tar) {
            tar.add({.path = ".", .type = EntryType::directory, .mode = 0711, .gid = 5});
        },
        {});
    const auto top = stage([](TarWriter& tar) { tar.add({.path = "a"}); }, unexpected);
    const std::vector<Layer> layers = store_->commit(std::nullopt, {base.get(), top.get()});
    EXPECT_EQ(status(file(layers[1], "")).st_mode & 07777, 0711U);
    EXPECT_EQ(status(file(layers[1], "")).st_gid, 5U);
}

TEST_F(LayerStage, NothingStaysOfALayerThatWasNotPutInPlace) {
    const std::size_t before = store_entries();
    {
        const auto staged = stage([](TarWriter& tar) { tar.add({.path = "a"}, "1"); }, {});
        EXPECT_EQ(store_entries(), before + 1);
    }
    EXPECT_EQ(store_entries(), before);
}

TEST_F(LayerStage, VerifyTellsAChangedFileAndAMissingParent) {
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "a"}, "sound"); });
    const Layer top = apply([](TarWriter& tar) { tar.add({.path = "b"}); }, low.chain_id);
    EXPECT_NO_THROW(store_->verify(low.chain_id));
    EXPECT_NO_THROW(store_->verify(top.chain_id));
    replace_file(file(low, "a"), "spoil", 0644, Durability::process);
    EXPECT_EQ(failure_text([&] { store_->verify(low.chain_id); }),
              "its files are not what was unpacked");
    store_->remove(low.chain_id);
    EXPECT_NE(failure_text([&] { store_->verify(top.chain_id); }).find("below it is missing"),
              std::string::npos);
}

}  // namespace
}  // namespace berth::storage
