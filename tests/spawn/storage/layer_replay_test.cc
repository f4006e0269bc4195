// A layer's archive comes out again as it went in.
#include <cstdlib>

#include "archive/digester.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class LayerReplay : public LayerFixture {
  protected:
    /// Applies the archive and takes it out again.
    std::string round_trip(const std::string& tar,
                           const std::optional<Digest>& parent = std::nullopt) const {
        archive::MemorySource source(tar);
        const Layer layer = store_->apply({.parent = parent}, source);
        return replay(layer.chain_id);
    }
    std::string replay(const Digest& chain_id) const {
        const auto tar = store_->open_tar(chain_id);
        constexpr std::size_t kLimit = 64U << 20;
        return archive::read_to_string(*tar, kLimit);
    }
    /// Runs a shell command in an empty directory and gives the file `out` that it made there.
    std::string made_by(const std::string& command) const {
        const std::string place = scratch_ + "/made";
        make_directories(place, 0755);
        EXPECT_EQ(std::system(("cd " + place + " && " + command).c_str()), 0) << command;
        std::string bytes = read_file(place + "/out");
        remove_tree(place);
        return bytes;
    }
};

TEST_F(LayerReplay, gives_every_kind_of_entry_again) {
    const std::string tar = tar_of([](TarWriter& to) {
        to.add({.path = "./", .type = EntryType::directory, .mode = 0755});
        to.add({.path = "a", .uid = 5}, "content of a");
        to.add({.path = "empty"});
        to.add({.path = "deep/er/file", .xattrs = {{"user.x", "y"}}}, std::string(70'000, 'z'));
        to.add({.path = "link", .type = EntryType::symlink, .link_target = "deep"});
        to.add({.path = "link/er/through", .mode = 0}, "through a link");
        to.add({.path = "hard", .type = EntryType::hard_link, .link_target = "a"});
        to.add({.path = "dev", .type = EntryType::char_device, .device_major = 1});
        to.add({.path = std::string(200, 'n') + "/" + std::string(200, 'm')}, "long name");
    });
    EXPECT_EQ(round_trip(tar), tar);
}

TEST_F(LayerReplay, gives_whiteouts_of_an_upper_layer_again) {
    const Layer lower = apply([](TarWriter& to) { to.add({.path = "d/a"}, "a"); });
    const std::string tar = tar_of([](TarWriter& to) {
        to.add({.path = "d/.wh.a"});
        to.add({.path = "e/.wh..wh..opq"}, "content that nobody expects");
        to.add({.path = "e/b"}, "b");
    });
    EXPECT_EQ(round_trip(tar, lower.chain_id), tar);
}

TEST_F(LayerReplay, gives_files_that_a_later_entry_replaced) {
    const std::string tar = tar_of([](TarWriter& to) {
        to.add({.path = "f"}, "first");
        to.add({.path = "f"}, "second");
        to.add({.path = "d/x"}, "below a directory");
        to.add({.path = "d"}, "now a file");
        to.add({.path = "f"}, "third");
    });
    EXPECT_EQ(round_trip(tar), tar);
}

TEST_F(LayerReplay, gives_what_follows_the_end_marker) {
    const std::string tar =
        tar_of([](TarWriter& to) { to.add({.path = "f"}, "x"); }) + std::string(9'000, 'g');
    EXPECT_EQ(round_trip(tar), tar);
}

TEST_F(LayerReplay, gives_sparse_archives_of_gnu_tar_again) {
    for (const std::string format : {"gnu", "pax"}) {
        const std::string tar = made_by(
            "truncate -s 3M s && printf middle | dd of=s bs=1 seek=1000000 conv=notrunc 2>/dev/null"
            " && printf end >>s && truncate -s 5M t && tar --sparse --format=" +
            format + " -cf out s t");
        EXPECT_LT(tar.size(), 1U << 20) << format;
        EXPECT_TRUE(round_trip(tar) == tar) << format;
    }
}

TEST_F(LayerReplay, has_the_digest_of_the_layer) {
    const Layer layer = apply([](TarWriter& to) { to.add({.path = "f"}, "x"); });
    EXPECT_EQ(archive::sha256(replay(layer.chain_id)), layer.diff_id);
}

TEST_F(LayerReplay, says_when_there_is_no_record) {
    const Layer layer = apply([](TarWriter& to) { to.add({.path = "f"}, "x"); });
    std::filesystem::remove(file(layer, "../tar.gz"));
    try {
        replay(layer.chain_id);
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(error.message().find("pull or load its image again"), std::string::npos);
    }
}

}  // namespace
}  // namespace berth::storage
