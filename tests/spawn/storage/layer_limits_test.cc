// What a layer may take: entries, disk, memory.
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "linux/filesystem.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class LayerLimits : public LayerFixture {
  protected:
    /// A small disk with a store of its own.
    LayerStore store_on_disk(const char* size = "size=16m") {
        const std::string disk = scratch_ + "/disk";
        make_directories(disk);
        EXPECT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, size), 0) << errno;
        return LayerStore::open(disk);
    }
    void TearDown() override {
        ::umount2((scratch_ + "/disk").c_str(), MNT_DETACH);
        LayerFixture::TearDown();
    }
    std::uint64_t free_on_disk() const {
        struct statvfs facts {};
        EXPECT_EQ(::statvfs((scratch_ + "/disk").c_str(), &facts), 0);
        return facts.f_bavail * facts.f_frsize;
    }
    static Error error_of_applying(const LayerStore& store, archive::Source& tar) {
        try {
            store.apply({}, tar);
        } catch (const Error& error) {
            return error;
        }
        return Error(ErrorKind::internal, "it was applied");
    }
};

TEST_F(LayerLimits, EntriesAreLimited) {
    const auto limited = LayerStore::open(scratch_ + "/other", {.max_entries = 2});
    const std::string tar = tar_of([](TarWriter& writer) {
        for (const char* name : {"a", "b", "c"}) writer.add({.path = name}, "");
    });
    archive::MemorySource source(tar);
    EXPECT_EQ(error_of_applying(limited, source).message(),
              "tar: c: the archive has more than 2 entries");
}

TEST_F(LayerLimits, AFileThatDoesNotFitIsRefusedBeforeItIsWritten) {
    const LayerStore store = store_on_disk();
    const std::uint64_t before = free_on_disk();
    std::string tar = tar_of(
        [](TarWriter& writer) { writer.add({.path = "large"}, std::string(32U << 20, 'x')); });
    std::uint64_t least = before;
    archive::MemorySource whole(tar);
    archive::CallbackSource watched([&](std::span<char> buffer) {
        least = std::min(least, free_on_disk());
        return whole.read(buffer);
    });
    const Error error = error_of_applying(store, watched);
    EXPECT_EQ(error.errno_value(), ENOSPC) << error.message();
    EXPECT_LT(before - least, 1U << 20);
    EXPECT_LT(before - free_on_disk(), 64U << 10);
}

TEST_F(LayerLimits, ManyFilesLeaveTheLastOfTheDiskFree) {
    const LayerStore store = store_on_disk();
    const std::string tar = tar_of([](TarWriter& writer) {
        for (int number = 0; number < 6000; ++number)
            writer.add({.path = fmt::format("f{}", number)}, "content");
    });
    std::uint64_t least = UINT64_MAX;
    archive::MemorySource whole(tar);
    archive::CallbackSource watched([&](std::span<char> buffer) {
        least = std::min(least, free_on_disk());
        return whole.read(buffer);
    });
    EXPECT_EQ(error_of_applying(store, watched).errno_value(), ENOSPC);
    EXPECT_GT(least, 100U << 10);
}

TEST_F(LayerLimits, HolesTakeNoSpace) {
    const LayerStore store = store_on_disk();
    const std::string tar = tar_of([](TarWriter& writer) {
        TarEntry entry{.path = "sparse", .size = 1LL << 40};
        entry.sparse = true;
        writer.begin_sparse(entry, {{1LL << 39, 3}});
        writer.write("abc");
    });
    archive::MemorySource source(tar);
    const Layer layer = store.apply({}, source);
    const std::string path = store.directories(layer.chain_id).front() + "/sparse";
    EXPECT_EQ(status(path).st_size, 1LL << 40);
    EXPECT_LT(status(path).st_blocks, 100);
}

TEST_F(LayerLimits, DirectoriesBeyondTheMemoryForThemKeepTheirTimes) {
    const std::string deep =
        std::string(250, 'a') + "/" + std::string(250, 'b') + "/" + std::string(250, 'c');
    constexpr int kDirectories = 20'000;
    const LayerStore store = store_on_disk("size=512m");
    const std::string tar_text = tar_of([&](TarWriter& tar) {
        TarEntry entry{.path = "top", .type = EntryType::directory, .mode = 0755};
        const auto add = [&](const std::string& path, std::int64_t seconds) {
            entry.path = path;
            entry.modified = {seconds * 1'000'000'000};
            tar.add(entry);
        };
        add(".", 1000);
        add("before", 2000);
        add(deep, 3000);
        for (int number = 0; number < kDirectories; ++number)
            add(fmt::format("{}/{}", deep, number), 4000 + number);
    });
    archive::MemorySource source(tar_text);
    const Layer layer = store.apply({}, source);
    const auto time_of = [&](const std::string& path) {
        return status(store.directories(layer.chain_id).front() + "/" + path).st_mtim.tv_sec;
    };
    EXPECT_EQ(time_of("."), 1000);
    EXPECT_EQ(time_of("before"), 2000);
    EXPECT_EQ(time_of(deep), 3000);
    for (const int number : {0, 1, kDirectories / 2, kDirectories - 1})
        EXPECT_EQ(time_of(fmt::format("{}/{}", deep, number)), 4000 + number);
}

}  // namespace
}  // namespace berth::storage
