#include "storage/copy_tree.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class LayerHostile : public LayerFixture {
  protected:
    void SetUp() override {
        LayerFixture::SetUp();
        if (IsSkipped()) return;
        outside_ = scratch_ + "/outside";
        make_directories(outside_, 0755);
        replace_file(outside_ + "/victim", "untouched", 0644, Durability::process);
    }
    void TearDown() override {
        if (!outside_.empty()) {
            EXPECT_EQ(read_file(outside_ + "/victim"), "untouched");
            EXPECT_EQ(status(outside_ + "/victim").st_nlink, 1U);
            EXPECT_TRUE(absent(outside_ + "/new"));
        }
        LayerFixture::TearDown();
    }
    std::string outside_;
};

TEST_F(LayerHostile, RefusesNamesThatClimbOut) {
    for (const char* path : {"../outside/new", "a/../../x", "/../x", ".."}) {
        const auto message = error_of([&](TarWriter& tar) { tar.add({.path = path}, "1"); });
        EXPECT_EQ(message, fmt::format("tar: {}: the path leads outside of the layer", path));
    }
    EXPECT_EQ(store_entries(), 0U);
}

TEST_F(LayerHostile, KeepsAbsoluteNamesInside) {
    const Layer layer = apply([&](TarWriter& tar) { tar.add({.path = outside_ + "/new"}, "1"); });
    EXPECT_EQ(read_file(file(layer, outside_ + "/new")), "1");
}

TEST_F(LayerHostile, KeepsWritesThroughAnAbsoluteLinkInside) {
    const Layer layer = apply([&](TarWriter& tar) {
        tar.add({.path = "l", .type = EntryType::symlink, .link_target = outside_});
        tar.add({.path = "l/victim"}, "changed");
        tar.add({.path = "l/new"}, "1");
    });
    EXPECT_EQ(read_file(file(layer, outside_ + "/new")), "1");
    EXPECT_TRUE(S_ISLNK(status(file(layer, "l")).st_mode));
}

TEST_F(LayerHostile, KeepsWritesThroughAClimbingLinkInside) {
    const Layer layer = apply([&](TarWriter& tar) {
        tar.add({.path = "l",
                 .type = EntryType::symlink,
                 .link_target = "../../../../../../../../.." + outside_});
        tar.add({.path = "l/new"}, "1");
        tar.add({.path = "l/sub", .type = EntryType::directory, .mode = 0777});
    });
    EXPECT_EQ(read_file(file(layer, outside_ + "/new")), "1");
    EXPECT_TRUE(absent(outside_ + "/sub"));
}

TEST_F(LayerHostile, ReplacesALinkInsteadOfWritingThroughIt) {
    const Layer layer = apply([&](TarWriter& tar) {
        tar.add({.path = "f", .type = EntryType::symlink, .link_target = outside_ + "/victim"});
        tar.add({.path = "f"}, "mine");
    });
    EXPECT_EQ(read_file(file(layer, "f")), "mine");
}

TEST_F(LayerHostile, DoesNotTurnALinkIntoADirectoryOutside) {
    apply([&](TarWriter& tar) {
        tar.add({.path = "d", .type = EntryType::symlink, .link_target = outside_});
        tar.add({.path = "d", .type = EntryType::directory, .mode = 0700});
        tar.add({.path = "d/new"}, "1");
    });
}

TEST_F(LayerHostile, RefusesAHardLinkToAFileOutside) {
    EXPECT_NE(
        error_of([&](TarWriter& tar) {
            tar.add(
                {.path = "h", .type = EntryType::hard_link, .link_target = "../outside/victim"});
        }),
        "");
    EXPECT_NE(
        error_of([&](TarWriter& tar) {
            tar.add(
                {.path = "h", .type = EntryType::hard_link, .link_target = outside_ + "/victim"});
        }),
        "");
    EXPECT_NE(error_of([&](TarWriter& tar) {
                  tar.add({.path = "l", .type = EntryType::symlink, .link_target = outside_});
                  tar.add({.path = "h", .type = EntryType::hard_link, .link_target = "l/victim"});
              }),
              "");
}

TEST_F(LayerHostile, WritesToAHardLinkReplaceIt) {
    const Layer layer = apply([&](TarWriter& tar) {
        tar.add({.path = "s", .type = EntryType::symlink, .link_target = outside_ + "/victim"});
        tar.add({.path = "h", .type = EntryType::hard_link, .link_target = "s"});
        tar.add({.path = "h"}, "mine");
    });
    EXPECT_EQ(read_file(file(layer, "h")), "mine");
}

TEST_F(LayerHostile, RefusesALoopOfLinks) {
    EXPECT_NE(error_of([](TarWriter& tar) {
                  tar.add({.path = "a", .type = EntryType::symlink, .link_target = "b"});
                  tar.add({.path = "b", .type = EntryType::symlink, .link_target = "a"});
                  tar.add({.path = "a/x"}, "1");
              }),
              "");
}

// Each level was looked up from the root: minutes for one entry of a few bytes.
TEST_F(LayerHostile, UnpacksADeepPathLevelByLevel) {
    std::string deep;
    for (int level = 0; level < 1500; ++level) deep += "d/";
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "low/f"}, "1"); });
    const Layer layer = apply(
        [&](TarWriter& tar) {
            for (int file = 0; file < 10; ++file)
                tar.add({.path = fmt::format("{}{}/f", deep, file)}, "1");
        },
        low.chain_id);
    EXPECT_EQ(layer.size, 10);
}

TEST_F(LayerHostile, FindsDirectoriesOfThisLayerBehindALink) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "usr/bin", .type = EntryType::directory});
        tar.add({.path = "link", .type = EntryType::symlink, .link_target = "usr"});
        tar.add({.path = "link/bin/x"}, "1");
        tar.add({.path = "link/new/y"}, "2");
    });
    EXPECT_EQ(read_file(file(layer, "usr/bin/x")), "1");
    EXPECT_EQ(read_file(file(layer, "usr/new/y")), "2");
}

TEST_F(LayerHostile, RefusesAFileAsAParent) {
    EXPECT_NE(error_of([](TarWriter& tar) {
                  tar.add({.path = "f"}, "1");
                  tar.add({.path = "f/x"}, "1");
              }),
              "");
}

TEST_F(LayerHostile, RefusesWhiteoutsOfNothing) {
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "a"}); });
    for (const char* path : {".wh.", "d/.wh..", "d/.wh..."})
        EXPECT_NE(error_of([&](TarWriter& tar) { tar.add({.path = path}); }, low.chain_id), "")
            << path;
}

TEST_F(LayerHostile, RefusesDirectoriesNamedLikeWhiteouts) {
    for (const char* path : {".wh.../x", "d/.wh../x", "d/.wh.a/b/x"})
        EXPECT_NE(error_of([&](TarWriter& tar) { tar.add({.path = path}, "1"); }), "") << path;
    EXPECT_NE(error_of([&](TarWriter& tar) {
                  tar.add({.path = "l", .type = EntryType::symlink, .link_target = ".wh..."});
                  tar.add({.path = "l/x"}, "1");
              }),
              "");
}

TEST_F(LayerHostile, CopyingIgnoresWhiteoutsOfTheParent) {
    const std::string source = scratch_ + "/source";
    const std::string target = scratch_ + "/around/target";
    make_directories(target + "/kept", 0755);
    for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh..."})
        make_directories(source + "/" + name, 0755);
    copy_tree(open_file(source, O_RDONLY | O_DIRECTORY), open_file(target, O_RDONLY | O_DIRECTORY),
              {.whiteouts = Whiteouts::applied, .stop = {}});
    EXPECT_FALSE(absent(target + "/kept"));
    EXPECT_FALSE(absent(target + "/d"));
}

TEST_F(LayerHostile, WhiteoutsDoNotReachOutside) {
    const Layer low = apply([&](TarWriter& tar) {
        tar.add({.path = "l", .type = EntryType::symlink, .link_target = outside_});
    });
    apply([](TarWriter& tar) { tar.add({.path = "l/.wh.victim"}); }, low.chain_id);
}

TEST_F(LayerHostile, LeavesNothingOfATruncatedLayer) {
    const std::string tar =
        tar_of([](TarWriter& writer) { writer.add({.path = "a"}, std::string(5000, 'x')); });
    archive::MemorySource source(std::string_view(tar).substr(0, 3000));
    EXPECT_THROW(store_->apply({}, source), Error);
    EXPECT_EQ(store_entries(), 0U);
}

TEST_F(LayerHostile, RefusesAnotherDiffId) {
    const std::string tar = tar_of([](TarWriter& writer) { writer.add({.path = "a"}); });
    archive::MemorySource source(tar);
    EXPECT_THROW(
        store_->apply({.expected_diff_id = Digest::from_hex(std::string(64, 'a'))}, source), Error);
    EXPECT_EQ(store_entries(), 0U);
}

}  // namespace
}  // namespace berth::storage
