// Runs one coroutine to its end on an io_context of its own, with a deadline against hangs.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "async/task.h"

namespace berth::async {

/// Rethrows what leaves `task`; fails the test when it does not end within ten seconds.
inline void run_in(boost::asio::io_context& context, Task<> task) {
    std::optional<std::exception_ptr> ended;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure) {
        ended = failure;
        context.stop();
    });
    context.restart();
    context.run_for(std::chrono::seconds(10));
    ASSERT_TRUE(ended.has_value()) << "the coroutine did not end";
    if (*ended) std::rethrow_exception(*ended);
}

}  // namespace berth::async
