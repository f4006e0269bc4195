// A disk that fills while an image comes in: the store and its layers lie on a small tmpfs of the
// test's own mount namespace.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <random>

#include "image/load.h"
#include "outside_fixture.h"
#include "storage/layer_store.h"

namespace berth::image {
namespace {

using test::error_of;
using test::make_tar;

constexpr const char* kTooSmall = "size=2m";
constexpr const char* kRoomy = "size=32m";
constexpr std::size_t kLayerBytes = 3U << 20;

class LayersOnDisk final : public LayerSink {
  public:
    explicit LayersOnDisk(const std::string& directory)
        : layers_(storage::LayerStore::open(directory)) {}
    std::optional<StoredLayer> find(const Digest& chain_id) override {
        const auto layer = layers_.find(chain_id);
        if (!layer) return std::nullopt;
        return StoredLayer{layer->chain_id, layer->size};
    }
    std::unique_ptr<StagedLayer> stage(const StageRequest& request, archive::Source& tar,
                                       std::stop_token stop) override {
        storage::StageRequest wanted;
        wanted.lower = request.lower;
        wanted.expected_diff_id = request.diff_id;
        return std::make_unique<OnDisk>(layers_.stage(wanted, tar, std::move(stop)));
    }
    std::vector<StoredLayer> commit(const std::optional<Digest>& parent,
                                    const std::vector<StagedLayer*>& staged) override {
        std::vector<storage::StagedLayer*> layers;
        for (StagedLayer* each : staged) layers.push_back(static_cast<OnDisk*>(each)->layer.get());
        std::vector<StoredLayer> stored;
        for (const storage::Layer& layer : layers_.commit(parent, layers))
            stored.push_back({layer.chain_id, layer.size});
        return stored;
    }
    std::vector<UniqueFd> open_files(const Digest& chain_id) override {
        return layers_.open_files(chain_id);
    }
    void remove(const Digest& chain_id) override { layers_.remove(chain_id); }
    std::size_t count() const { return layers_.list().size(); }

  private:
    struct OnDisk final : StagedLayer {
        explicit OnDisk(std::unique_ptr<storage::StagedLayer> from) : layer(std::move(from)) {}
        const Digest& diff_id() const override { return layer->diff_id(); }
        UniqueFd files() const override { return duplicate(layer->files()); }
        std::unique_ptr<storage::StagedLayer> layer;
    };
    storage::LayerStore layers_;
};

std::string noise() {
    std::mt19937 random(1);  // the same bytes every time
    std::string result(kLayerBytes, '\0');
    for (char& c : result) c = static_cast<char>(random());
    return result;
}

class FullDiskTest : public test::OutsideTest {
  protected:
    void SetUp() override {
        OutsideTest::SetUp();
        if (IsSkipped()) return;
        make_directories(disk());
        ASSERT_EQ(::mount("tmpfs", disk().c_str(), "tmpfs", 0, kTooSmall), 0) << errno;
        images_ = std::make_unique<ImageStore>(disk() + "/images");
        layers_ = std::make_unique<LayersOnDisk>(disk());
        free_ = free_blocks();
    }
    void TearDown() override {
        images_.reset();
        layers_.reset();
        ::umount2(disk().c_str(), MNT_DETACH);
    }
    std::string disk() const { return path("disk"); }
    fsblkcnt_t free_blocks() const {
        struct statvfs status {};
        EXPECT_EQ(::statvfs(disk().c_str(), &status), 0);
        return status.f_bfree;
    }
    void grow() const {
        ASSERT_EQ(::mount(nullptr, disk().c_str(), nullptr, MS_REMOUNT, kRoomy), 0) << errno;
    }
    void pull_here() {
        Puller puller(*images_, *layers_, settings_);
        puller.pull({.reference = Reference::parse(registry_->host() + "/app:1"),
                     .platform = "",
                     .credentials = {}},
                    lines_.callback(), {});
    }
    void load_here() {
        const std::string bytes = read_file(path("image.tar"));
        archive::MemorySource source(bytes);
        load(*images_, *layers_, source, {.output = LoadOutput::quiet}, lines_.callback(), {});
    }
    void expect_nothing_left() const {
        EXPECT_TRUE(images_->list().empty());
        EXPECT_EQ(layers_->count(), 0U);
        EXPECT_EQ(free_blocks(), free_);
    }
    static void expect_full(const std::string& error) {
        EXPECT_NE(error.find("no space left on device"), std::string::npos) << error;
    }

    std::unique_ptr<ImageStore> images_;
    std::unique_ptr<LayersOnDisk> layers_;
    fsblkcnt_t free_ = 0;
};

TEST_F(FullDiskTest, ADownloadThatDoesNotFitLeavesNothing) {
    tars_ = {make_tar({{"small", "1"}}), make_tar({{"noise", noise()}})};
    push("app:1");
    serve({});
    expect_full(error_of([&] { pull_here(); }));
    expect_nothing_left();
    grow();
    EXPECT_EQ(error_of([&] { pull_here(); }), "");
    EXPECT_EQ(layers_->count(), 2U);
}

TEST_F(FullDiskTest, ALayerThatDoesNotFitUnpackedLeavesNothing) {
    tars_ = {make_tar({{"small", "1"}}), make_tar({{"zeros", std::string(kLayerBytes, 'x')}})};
    push("app:1");
    serve({});
    expect_full(error_of([&] { pull_here(); }));
    expect_nothing_left();
    grow();
    EXPECT_EQ(error_of([&] { pull_here(); }), "");
    EXPECT_EQ(layers_->count(), 2U);
}

TEST_F(FullDiskTest, AnArchiveThatDoesNotFitLeavesNothing) {
    push("app:1");  // for the archive it writes
    expect_full(error_of([&] { load_here(); }));
    expect_nothing_left();
    grow();
    EXPECT_EQ(error_of([&] { load_here(); }), "");
    EXPECT_EQ(images_->list().size(), 1U);
}

TEST_F(FullDiskTest, AnImageThatCannotBeRecordedIsNotThere) {
    tars_ = {make_tar({{"a", "1"}})};
    const std::string config = test::config_for(tars_);
    const NewImage image{.config = config,
                         .layers = {{chain_ids({archive::sha256(tars_[0])})[0], 1}},
                         .manifest = "{}",
                         .parent = std::nullopt,
                         .references = {Reference::parse("app:1")}};
    const UniqueFd ballast(
        ::open((disk() + "/ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const auto block = static_cast<std::size_t>(2048);
    while (free_blocks() > 1) write_all(ballast, std::string(block, 'x'));
    expect_full(error_of([&] { images_->add(image); }));
    EXPECT_TRUE(images_->list().empty());
    EXPECT_EQ(free_blocks(), 1U);
    grow();
    EXPECT_EQ(error_of([&] { images_->add(image); }), "");
    EXPECT_EQ(ImageStore(disk() + "/images").list().size(), 1U);
}

}  // namespace
}  // namespace berth::image
