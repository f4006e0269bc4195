#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"

namespace berth {
namespace {

/// What `work` writes to standard error while that is a pipe, which JOURNAL_STREAM names or not.
template <typename Work>
std::string written(bool journal, Work work) {
    Pipe pipe = Pipe::make();
    const UniqueFd before{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10)};
    ::dup2(pipe.write.get(), STDERR_FILENO);
    struct stat about {};
    ::fstat(STDERR_FILENO, &about);
    const auto inode = journal ? about.st_ino : about.st_ino + 1;
    ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", about.st_dev, inode).c_str(), 1);
    log::configure("test", log::Level::info);
    work();
    ::dup2(before.get(), STDERR_FILENO);
    ::unsetenv("JOURNAL_STREAM");
    log::configure("test", log::Level::info);
    pipe.write.reset();
    return read_all(pipe.read);
}

TEST(Log, the_journal_gets_priorities) {
    const std::string lines = written(true, [] {
        log::info("one");
        log::warn("two");
        log::error("three");
    });
    EXPECT_EQ(lines,
              "<6>level=info program=test msg=\"one\"\n<4>level=warn program=test msg=\"two\"\n"
              "<3>level=error program=test msg=\"three\"\n");
}

TEST(Log, a_stream_that_is_not_the_journals_gets_the_time) {
    const std::string line = written(false, [] { log::info("one"); });
    EXPECT_TRUE(line.starts_with("time=2")) << line;
    EXPECT_NE(line.find(" level=info program=test msg=\"one\"\n"), std::string::npos) << line;
}

}  // namespace
}  // namespace berth
