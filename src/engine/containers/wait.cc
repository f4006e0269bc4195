#include "engine/containers/wait.h"

namespace berth::engine {

namespace {

void finish(Container& container, const WaitOutcome& outcome,
            const std::function<bool(WaitCondition)>& concerns) {
    auto& waits = container.waits;
    for (auto it = waits.begin(); it != waits.end();) {
        const std::shared_ptr<Wait::State> wait = it->lock();
        if (wait && !concerns(wait->condition)) {
            ++it;
            continue;
        }
        if (wait) {
            wait->outcome = outcome;
            wait->done.set();
        }
        it = waits.erase(it);
    }
}

}  // namespace

WaitCondition wait_condition_from(const std::string& text) {
    if (text.empty() || text == "not-running") return WaitCondition::not_running;
    if (text == "next-exit") return WaitCondition::next_exit;
    if (text == "removed") return WaitCondition::removed;
    throw Error(ErrorKind::invalid, "invalid condition: \"{}\"", text);
}

async::Task<WaitOutcome> Wait::outcome() {
    const std::shared_ptr<State> state = state_;
    co_await state->done.wait();
    co_return *state->outcome;
}

Wait begin_wait(Container& container, WaitCondition condition) {
    auto state = std::make_shared<Wait::State>();
    state->condition = condition;
    const model::State& now = container.record.state;
    if (condition == WaitCondition::not_running && !now.is_running()) {
        state->outcome = WaitOutcome{now.exit_code, now.error};
        state->done.set();
    } else {
        std::erase_if(container.waits, [](const auto& wait) { return wait.expired(); });
        container.waits.push_back(state);
    }
    return Wait(std::move(state));
}

void finish_exit_waits(Container& container, const WaitOutcome& outcome) {
    finish(container, outcome, [](WaitCondition c) { return c != WaitCondition::removed; });
}

void finish_all_waits(Container& container, const WaitOutcome& outcome) {
    finish(container, outcome, [](WaitCondition) { return true; });
}

}  // namespace berth::engine
