#include "storage/layer_view.h"

#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class LayerViewTest : public LayerFixture {
  protected:
    /// Which of the layers below and with `top` (the topmost is 0) show a part of `path`.
    std::vector<std::size_t> parts_of(const std::string& path,
                                      const std::function<void(TarWriter&)>& top) const {
        const Layer low = apply([](TarWriter& tar) { tar.add({.path = "srv/data/secret"}); });
        const Layer layer = apply(top, low.chain_id);
        std::vector<UniqueFd> held;
        for (const std::string& directory : store_->directories(layer.chain_id))
            held.push_back(open_file(directory, O_PATH | O_DIRECTORY));
        const LayerView view({held.begin(), held.end()});
        std::vector<std::size_t> parts;
        for (const UniqueFd& part : view.directories_at(view.resolve(path))) {
            const bool secret = ::faccessat(part.get(), "secret", F_OK, 0) == 0;
            parts.push_back(secret ? 1 : 0);
        }
        return parts;
    }
    static void add_directory(TarWriter& tar, const char* path) {
        tar.add({.path = path, .type = EntryType::directory, .mode = 0755});
    }
};

using Parts = std::vector<std::size_t>;

TEST_F(LayerViewTest, DirectoriesOfAllLayersMerge) {
    EXPECT_EQ(parts_of("/srv/data", [](TarWriter& tar) { tar.add({.path = "srv/data/more"}); }),
              (Parts{0, 1}));
    EXPECT_EQ(parts_of("/srv/data", [](TarWriter& tar) { tar.add({.path = "other"}); }),
              (Parts{1}));
}

TEST_F(LayerViewTest, AnOpaqueDirectoryOnTheWayHidesWhatIsBelow) {
    EXPECT_EQ(parts_of("/srv/data",
                       [](TarWriter& tar) {
                           tar.add({.path = ".wh.srv"});
                           add_directory(tar, "srv");
                           add_directory(tar, "srv/data");
                       }),
              (Parts{0}));
}

TEST_F(LayerViewTest, AWhiteoutHidesTheDirectory) {
    EXPECT_EQ(parts_of("/srv/data", [](TarWriter& tar) { tar.add({.path = "srv/.wh.data"}); }),
              Parts{});
    EXPECT_EQ(parts_of("/srv/data", [](TarWriter& tar) { tar.add({.path = ".wh.srv"}); }), Parts{});
}

TEST_F(LayerViewTest, AWhiteoutFileBesideADirectoryHidesWhatIsBelow) {
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "srv/data/secret"}); });
    const std::string top = scratch_ + "/top";
    make_directories(top + "/srv/data", 0755);
    replace_file(top + "/.wh.srv", "", 0600, Durability::process);
    const UniqueFd upper = open_file(top, O_PATH | O_DIRECTORY);
    const UniqueFd lower = open_file(file(low, ""), O_PATH | O_DIRECTORY);
    EXPECT_EQ(LayerView({upper, lower}).directories_at("srv/data").size(), 1U);
}

TEST_F(LayerViewTest, LinksAreFollowedThroughTheLayers) {
    EXPECT_EQ(
        parts_of(
            "/a/../link/data",
            [](TarWriter& tar) {
                tar.add({.path = "link", .type = EntryType::symlink, .link_target = "x/../../srv"});
            }),
        (Parts{1}));
}

}  // namespace
}  // namespace berth::storage
