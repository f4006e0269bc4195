#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "archive/compression.h"
#include "archive/digester.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

using LayerApply = LayerFixture;

TEST_F(LayerApply, WritesFilesWithTheirContent) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "./etc/", .type = EntryType::directory, .mode = 0755});
        tar.add({.path = "./etc/name"}, "web");
    });
    EXPECT_EQ(read_file(file(layer, "etc/name")), "web");
    EXPECT_EQ(layer.size, 3);
    EXPECT_EQ(store_->find(layer.chain_id)->diff_id, layer.diff_id);
}

TEST_F(LayerApply, MapsOwners) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "a", .uid = 33, .gid = 42});
        tar.add({.path = "l", .type = EntryType::symlink, .link_target = "a", .uid = 7});
    });
    EXPECT_EQ(status(file(layer, "a")).st_uid, 33U);
    EXPECT_EQ(status(file(layer, "a")).st_gid, 42U);
    EXPECT_EQ(status(file(layer, "l")).st_uid, 7U);
}

TEST_F(LayerApply, NamesAnOwnerBeyondTheRange) {
    const std::string message =
        error_of([](TarWriter& tar) { tar.add({.path = "a", .uid = 5'000'000}); });
    EXPECT_NE(message.find("tar: a: user id 5000000 is not in the range 0-655"), std::string::npos)
        << message;
}

TEST_F(LayerApply, KeepsSuidThroughWriteAndChown) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "su", .mode = 04755, .gid = 5}, "content");
        tar.add({.path = "wall", .mode = 02755, .uid = 9}, "content");
    });
    EXPECT_EQ(status(file(layer, "su")).st_mode & 07777, 04755U);
    EXPECT_EQ(status(file(layer, "wall")).st_mode & 07777, 02755U);
}

TEST_F(LayerApply, GivesModesWhateverTheUmask) {
    const mode_t before = ::umask(077);
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "tmp", .type = EntryType::directory, .mode = 01777});
        tar.add({.path = "f", .mode = 0666});
    });
    ::umask(before);
    EXPECT_EQ(status(file(layer, "tmp")).st_mode & 07777, 01777U);
    EXPECT_EQ(status(file(layer, "f")).st_mode & 07777, 0666U);
    EXPECT_EQ(status(file(layer, "")).st_mode & 07777, 0755U);
}

TEST_F(LayerApply, KeepsTimesOfDirectoriesThatAreFilledLater) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "d",
                 .type = EntryType::directory,
                 .mode = 0755,
                 .modified = {1'000'000'000'000'000'000}});
        tar.add({.path = "d/f", .modified = {-2'000'000'000}});
    });
    EXPECT_EQ(status(file(layer, "d")).st_mtim.tv_sec, 1'000'000'000);
    EXPECT_EQ(status(file(layer, "d/f")).st_mtim.tv_sec, -2);
}

TEST_F(LayerApply, KeepsExtendedAttributes) {
    // A version 2 file capability: cap_net_raw, effective.
    const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    const Layer layer = apply([&](TarWriter& tar) {
        tar.add({.path = "ping",
                 .mode = 0755,
                 .uid = 3,
                 .xattrs = {{"security.capability", capability},
                            {"trusted.refused", "x"},
                            {"user.kept", "y"}}},
                "content");
    });
    char value[64];
    EXPECT_EQ(::getxattr(file(layer, "ping").c_str(), "user.kept", value, sizeof value), 1);
    EXPECT_EQ(::getxattr(file(layer, "ping").c_str(), "security.capability", value, sizeof value),
              20);
}

TEST_F(LayerApply, LeavesOutOverlaysOwnAttributes) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "d",
                 .type = EntryType::directory,
                 .mode = 0755,
                 .xattrs = {{"user.overlay.opaque", "y"}, {"user.overlay.redirect", "/x"}}});
    });
    EXPECT_EQ(::listxattr(file(layer, "d").c_str(), nullptr, 0), 0);
}

TEST_F(LayerApply, LinksWithinTheLayer) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "d/a"}, "content");
        tar.add({.path = "b", .type = EntryType::hard_link, .link_target = "/d/a"});
    });
    EXPECT_EQ(status(file(layer, "d/a")).st_ino, status(file(layer, "b")).st_ino);
}

TEST_F(LayerApply, CopiesUpTheTargetOfAHardLinkToALowerLayer) {
    const Layer low = apply([](TarWriter& tar) {
        tar.add({.path = "d", .type = EntryType::directory, .mode = 0700, .uid = 4});
        tar.add({.path = "d/a", .mode = 04711, .uid = 5}, "content");
    });
    const Layer top = apply(
        [](TarWriter& tar) {
            tar.add({.path = "b", .type = EntryType::hard_link, .link_target = "d/a"});
        },
        low.chain_id);
    EXPECT_EQ(status(file(top, "b")).st_ino, status(file(top, "d/a")).st_ino);
    EXPECT_EQ(status(file(top, "b")).st_mode & 07777, 04711U);
    EXPECT_EQ(status(file(top, "d")).st_uid, 4U);
    EXPECT_EQ(read_file(file(top, "b")), "content");
}

TEST_F(LayerApply, ADirectoryEntryEndsTheUseOfALowerLink) {
    const Layer low = apply([](TarWriter& tar) {
        tar.add({.path = "usr/lib", .type = EntryType::directory, .mode = 0755});
        tar.add({.path = "lib", .type = EntryType::symlink, .link_target = "usr/lib"});
    });
    const Layer top = apply(
        [](TarWriter& tar) {
            tar.add({.path = "lib/x"});
            tar.add({.path = "lib", .type = EntryType::directory, .mode = 0755});
            tar.add({.path = "lib/y"});
        },
        low.chain_id);
    EXPECT_TRUE(S_ISREG(status(file(top, "usr/lib/x")).st_mode));
    EXPECT_TRUE(S_ISREG(status(file(top, "lib/y")).st_mode));
    EXPECT_TRUE(absent(file(top, "usr/lib/y")));
}

TEST_F(LayerApply, TakesAnImpliedDirectoryFromBelow) {
    const Layer low = apply([](TarWriter& tar) {
        tar.add({.path = "tmp", .type = EntryType::directory, .mode = 01777, .gid = 6});
    });
    const Layer top = apply([](TarWriter& tar) { tar.add({.path = "tmp/f"}); }, low.chain_id);
    EXPECT_EQ(status(file(top, "tmp")).st_mode & 07777, 01777U);
    EXPECT_EQ(status(file(top, "tmp")).st_gid, 6U);
}

TEST_F(LayerApply, FollowsALowerLinkInThePlaceOfADirectory) {
    const Layer low = apply([](TarWriter& tar) {
        tar.add({.path = "usr/bin", .type = EntryType::directory, .mode = 0755});
        tar.add({.path = "bin", .type = EntryType::symlink, .link_target = "usr/bin"});
    });
    const Layer top = apply([](TarWriter& tar) { tar.add({.path = "bin/x"}, "1"); }, low.chain_id);
    EXPECT_EQ(read_file(file(top, "usr/bin/x")), "1");
    EXPECT_TRUE(absent(file(top, "bin")));
}

TEST_F(LayerApply, TurnsWhiteoutsIntoOverlaysForm) {
    const Layer low = apply([](TarWriter& tar) {
        tar.add({.path = "d/gone"});
        tar.add({.path = "o/old"});
    });
    const Layer top = apply(
        [](TarWriter& tar) {
            tar.add({.path = "d/.wh.gone"});
            tar.add({.path = "o/.wh..wh..opq"});
            tar.add({.path = ".wh..wh.plnk", .type = EntryType::directory});
        },
        low.chain_id);
    EXPECT_TRUE(S_ISCHR(status(file(top, "d/gone")).st_mode));
    EXPECT_EQ(status(file(top, "d/gone")).st_rdev, ::makedev(0, 0));
    char value = 0;
    EXPECT_EQ(::getxattr(file(top, "o").c_str(), "user.overlay.opaque", &value, 1), 1);
    EXPECT_EQ(value, 'y');
    EXPECT_TRUE(absent(file(top, ".wh..wh.plnk")));
}

TEST_F(LayerApply, AWhiteoutDoesNotHideItsOwnLayer) {
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "d/old"}); });
    const Layer top = apply(
        [](TarWriter& tar) {
            tar.add({.path = ".wh.d"});
            tar.add({.path = "d/new"}, "1");
        },
        low.chain_id);
    EXPECT_EQ(read_file(file(top, "d/new")), "1");
    char value = 0;
    EXPECT_EQ(::getxattr(file(top, "d").c_str(), "user.overlay.opaque", &value, 1), 1);
}

TEST_F(LayerApply, LeavesOutDevicesAndRecordsThem) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "dev/null", .type = EntryType::char_device, .device_major = 1});
        tar.add({.path = "pipe", .type = EntryType::fifo, .mode = 0600});
    });
    EXPECT_EQ(layer.skipped, std::vector<std::string>{"dev/null"});
    EXPECT_EQ(store_->find(layer.chain_id)->skipped, layer.skipped);
    EXPECT_TRUE(S_ISFIFO(status(file(layer, "pipe")).st_mode));
}

TEST_F(LayerApply, UnpacksACompressedTarAndDigestsThePlainOne) {
    const std::string tar = tar_of([](TarWriter& writer) { writer.add({.path = "a"}, "1"); });
    archive::StringSink packed;
    archive::GzipSink gzip(packed);
    gzip.write(tar);
    gzip.finish();
    archive::MemorySource source(packed.text());
    EXPECT_EQ(store_->apply({}, source).diff_id, archive::sha256(tar));
}

TEST_F(LayerApply, AppliesTheSameLayerTwice) {
    const auto fill = [](TarWriter& tar) { tar.add({.path = "a"}, "1"); };
    EXPECT_EQ(apply(fill).chain_id, apply(fill).chain_id);
    EXPECT_EQ(store_entries(), 1U);
}

TEST_F(LayerApply, ListsAndRemovesLayers) {
    const Layer low = apply([](TarWriter& tar) { tar.add({.path = "a"}, "12"); });
    const Layer top = apply([](TarWriter& tar) { tar.add({.path = "b"}, "345"); }, low.chain_id);
    EXPECT_EQ(store_->list().size(), 2U);
    EXPECT_EQ(store_->usage(), 5);
    EXPECT_EQ(store_->directories(top.chain_id).size(), 2U);
    store_->remove(top.chain_id);
    store_->remove(top.chain_id);
    EXPECT_FALSE(store_->find(top.chain_id));
    EXPECT_EQ(store_entries(), 1U);
}

TEST_F(LayerApply, CleansUpAfterACrash) {
    make_directories(scratch_ + "/layers/tmp-abc/fs/secret", 0700);
    LayerStore::open(scratch_);
    EXPECT_EQ(store_entries(), 0U);
}

TEST_F(LayerApply, LeavesNothingWhenCancelled) {
    std::stop_source stop;
    stop.request_stop();
    archive::MemorySource source("");
    EXPECT_THROW(store_->apply({}, source, stop.get_token()), Error);
    EXPECT_EQ(store_entries(), 0U);
}

TEST_F(LayerApply, ReplacesADirectoryByAFileAndBack) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = "a/b/c"}, "1");
        tar.add({.path = "a"}, "22");
        tar.add({.path = "f"}, "333");
        tar.add({.path = "f", .type = EntryType::directory, .mode = 0755});
        tar.add({.path = "f/g"}, "4444");
    });
    EXPECT_EQ(read_file(file(layer, "a")), "22");
    EXPECT_EQ(read_file(file(layer, "f/g")), "4444");
}

}  // namespace
}  // namespace berth::storage
