#include <gtest/gtest.h>

#include "archive/tar_reader.h"
#include "archive/tar_writer.h"
#include "base/error.h"

namespace berth::archive {
namespace {

// Writes one entry and reads it back.
TarEntry round_trip(const TarEntry& entry, TarTimes times = TarTimes::seconds) {
    StringSink sink;
    TarWriter writer(sink, times);
    writer.add(entry);
    writer.finish();
    EXPECT_EQ(sink.text().size() % 512, 0U);
    MemorySource source(sink.text());
    TarReader reader(source);
    auto read = reader.next();
    EXPECT_TRUE(read.has_value());
    EXPECT_FALSE(reader.next().has_value());
    return read.value_or(TarEntry{});
}

TEST(TarRoundTrip, KeepsContentOfSeveralFiles) {
    StringSink sink;
    TarWriter writer(sink);
    const std::string large(700'001, 'x');
    writer.add({.path = "a"}, "one");
    writer.add({.path = "b"}, large);
    writer.add({.path = "empty"});
    writer.finish();
    MemorySource source(sink.text());
    TarReader reader(source);
    ASSERT_EQ(reader.next()->path, "a");
    EXPECT_EQ(read_to_string(reader, 100), "one");
    ASSERT_EQ(reader.next()->size, 700'001);
    EXPECT_EQ(read_to_string(reader, 1U << 20), large);
    ASSERT_EQ(reader.next()->path, "empty");
    EXPECT_EQ(read_to_string(reader, 100), "");
    EXPECT_FALSE(reader.next());
}

TEST(TarRoundTrip, SkipsContentThatIsNotRead) {
    StringSink sink;
    TarWriter writer(sink);
    writer.add({.path = "a"}, std::string(600'000, 'x'));
    writer.add({.path = "b"}, "two");
    writer.finish();
    MemorySource source(sink.text());
    TarReader reader(source);
    reader.next();
    EXPECT_EQ(reader.next()->path, "b");
    EXPECT_EQ(read_to_string(reader, 100), "two");
}

TEST(TarRoundTrip, KeepsModeAndOwner) {
    const TarEntry read = round_trip({.path = "bin/su", .mode = 04755, .uid = 33, .gid = 42});
    EXPECT_EQ(read.mode, 04755U);
    EXPECT_EQ(read.uid, 33);
    EXPECT_EQ(read.gid, 42);
}

TEST(TarRoundTrip, KeepsLinks) {
    const TarEntry link =
        round_trip({.path = "l", .type = EntryType::symlink, .link_target = "../x"});
    EXPECT_EQ(link.type, EntryType::symlink);
    EXPECT_EQ(link.link_target, "../x");
    EXPECT_EQ(round_trip({.path = "h", .type = EntryType::hard_link, .link_target = "a"}).type,
              EntryType::hard_link);
}

TEST(TarRoundTrip, SplitsALongNameAtASlash) {
    const std::string path = std::string(120, 'd') + "/" + std::string(90, 'f');
    EXPECT_EQ(round_trip({.path = path}).path, path);
}

TEST(TarRoundTrip, KeepsANameBeyondUstar) {
    const std::string path = std::string(300, 'n');
    const std::string target = std::string(400, 't');
    const TarEntry read =
        round_trip({.path = path, .type = EntryType::symlink, .link_target = target});
    EXPECT_EQ(read.path, path);
    EXPECT_EQ(read.link_target, target);
}

TEST(TarRoundTrip, KeepsNamesThatAreNotAscii) {
    EXPECT_EQ(round_trip({.path = "straße/ü"}).path, "straße/ü");
}

TEST(TarRoundTrip, KeepsLargeIds) {
    const TarEntry read = round_trip({.path = "a", .uid = 4'000'000, .gid = 1LL << 31});
    EXPECT_EQ(read.uid, 4'000'000);
    EXPECT_EQ(read.gid, 1LL << 31);
}

TEST(TarRoundTrip, KeepsExtendedAttributesWithAnyBytes) {
    const std::string value("\0\n=\xff", 4);
    const TarEntry read = round_trip({.path = "a", .xattrs = {{"security.capability", value}}});
    EXPECT_EQ(read.xattrs.at("security.capability"), value);
}

TEST(TarRoundTrip, KeepsNanosecondsWhenAskedFor) {
    const TarEntry entry{.path = "a", .modified = {1'700'000'000'123'456'789}};
    EXPECT_EQ(round_trip(entry, TarTimes::nanoseconds).modified, entry.modified);
    EXPECT_EQ(round_trip(entry).modified.ns, 1'700'000'000'000'000'000);
}

TEST(TarRoundTrip, KeepsTimesBeforeTheEpoch) {
    EXPECT_EQ(round_trip({.path = "a", .modified = {-5'000'000'000}}).modified.ns, -5'000'000'000);
}

TEST(TarRoundTrip, KeepsDeviceNumbers) {
    const TarEntry read = round_trip(
        {.path = "null", .type = EntryType::char_device, .device_major = 1, .device_minor = 3});
    EXPECT_EQ(read.device_major, 1U);
    EXPECT_EQ(read.device_minor, 3U);
}

TEST(TarWriter, RefusesMoreContentThanAnnounced) {
    StringSink sink;
    TarWriter writer(sink);
    writer.begin_file({.path = "a", .size = 2});
    EXPECT_THROW(writer.write("abc"), Error);
}

TEST(TarWriter, RefusesToEndAFileTooEarly) {
    StringSink sink;
    TarWriter writer(sink);
    writer.begin_file({.path = "a", .size = 2});
    EXPECT_THROW(writer.finish(), Error);
}

}  // namespace
}  // namespace berth::archive
