#include "image/layer_batch.h"

#include <gtest/gtest.h>

#include <thread>

#include "image_fixture.h"

namespace berth::image::test {
namespace {

class LayerBatchTest : public ::testing::Test {
  protected:
    static constexpr std::size_t kLayers = 8;
    LayerBatchTest() {
        for (std::size_t number = 0; number < kLayers; ++number) {
            tars_.push_back(make_tar({{number % 3 == 2 ? "needs-lower" : "file", "x"},
                                      {"number", std::to_string(number)}}));
            diff_ids_.push_back(archive::sha256(tars_.back()));
        }
    }
    void stage(LayerBatch& batch, std::size_t index, const std::stop_source& stop) {
        archive::MemorySource source(tars_[index]);
        batch.stage(index, source, stop.get_token());
    }

    TemporaryDirectory directory_;
    ImageStore store_{directory_.path()};
    FakeSink sink_;
    std::vector<std::string> tars_;
    std::vector<Digest> diff_ids_;
};

TEST_F(LayerBatchTest, PutsAllInPlaceFromTheLowestUp) {
    LayerBatch batch(store_, sink_, diff_ids_);
    const std::stop_source stop;
    std::vector<std::size_t> placed;
    const auto layers = batch.place_all(
        stop, [&](std::size_t index) { stage(batch, index, stop); },
        [&](std::size_t index) { placed.push_back(index); });
    batch.keep();
    ASSERT_EQ(layers.size(), kLayers);
    for (std::size_t index = 0; index < kLayers; ++index) {
        EXPECT_EQ(layers[index].chain_id, batch.chain_id(index));
        EXPECT_EQ(placed.at(index), index);
    }
}

TEST_F(LayerBatchTest, LayersThatAreThereStay) {
    LayerBatch batch(store_, sink_, diff_ids_);
    const std::stop_source stop;
    for (std::size_t index = 0; index < 3; ++index) {
        archive::MemorySource source(tars_[index]);
        batch.apply(index, source, {});
    }
    const int before = sink_.applied();
    LayerBatch again(store_, sink_, diff_ids_);
    const auto stage_or_find = [&](std::size_t index) {
        if (auto layer = again.find(index)) return again.found(index, *std::move(layer));
        stage(again, index, stop);
    };
    EXPECT_EQ(again.place_all(stop, stage_or_find, [](std::size_t) {}).size(), kLayers);
    EXPECT_EQ(sink_.applied(), before + static_cast<int>(kLayers) - 3);
}

TEST_F(LayerBatchTest, TheFirstFailureStopsAllAndNothingStays) {
    {
        LayerBatch batch(store_, sink_, diff_ids_);
        const std::stop_source stop;
        const auto fail_at_four = [&](std::size_t index) {
            if (index == 4) throw Error(ErrorKind::invalid, "layer four is broken");
            stage(batch, index, stop);
        };
        const auto place = [&] { batch.place_all(stop, fail_at_four, [](std::size_t) {}); };
        EXPECT_EQ(error_of(place), "layer four is broken");
        EXPECT_TRUE(stop.stop_requested());
    }
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(LayerBatchTest, AStopEndsThoseWhoWait) {
    LayerBatch batch(store_, sink_, diff_ids_);
    std::stop_source stop;
    const LowerLayers lower = batch.lower_of(3, stop.get_token());
    std::jthread stopping([&] { stop.request_stop(); });
    EXPECT_EQ(kind_of([&] { lower(); }), ErrorKind::cancelled);
}

}  // namespace
}  // namespace berth::image::test
