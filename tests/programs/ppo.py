"""Proximal policy optimization (Schulman et al., 2017) of a cart that is pushed to the middle of its track.

    python ppo.py

The policy is a normal distribution of forces; the critic estimates what is still to come.
"""

import math

import torch
import torch.nn as nn
from torch import optim
from torch.distributions import Independent, Normal, kl_divergence


class Cart:
    """Many carts at once, each with a place and a speed; a force of at most 2 pushes each."""

    observation_size, action_size = 2, 1

    def __init__(self, count, length=30):
        self.count, self.length = count, length

    def reset(self):
        place = torch.empty(self.count).uniform_(-2, 2)
        speed = torch.empty(self.count).uniform_(-1, 1)
        self.state = torch.stack([place, speed], dim=-1)
        self.time = 0
        return self.state

    def step(self, action):
        place, speed = self.state.unbind(-1)
        force = action.squeeze(-1).clamp(-2, 2)
        speed = 0.9 * speed - 0.1 * place + 0.3 * force  # a spring holds the cart
        place = place + 0.2 * speed
        reward = -(place.pow(2) + 0.1 * speed.pow(2) + 0.01 * force.pow(2))
        self.state = torch.stack([place, speed], dim=-1)
        self.time += 1
        return self.state, reward, self.time >= self.length


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class ActorCritic(nn.Module):
    def __init__(self, observations, actions, hidden=32):
        super().__init__()
        self.actor = mlp(observations, hidden, hidden, actions)
        self.critic = mlp(observations, hidden, hidden, 1)
        self.log_std = nn.Parameter(torch.full((actions,), -0.5))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                nn.init.zeros_(module.bias)
        nn.init.orthogonal_(self.actor[-1].weight, 0.01)

    def policy(self, observation):
        loc = self.actor(observation)
        return Independent(Normal(loc, self.log_std.exp().expand_as(loc)), 1)

    def value(self, observation):
        return self.critic(observation).squeeze(-1)


@torch.no_grad()
def rollout(cart, agent):
    """What happened until the end, (time, carts, ...) each."""
    steps = []
    observation, done = cart.reset(), False
    while not done:
        policy = agent.policy(observation)
        action = policy.sample()
        following, reward, done = cart.step(action)
        steps.append((observation, action, policy.log_prob(action), agent.value(observation), reward))
        observation = following
    return [torch.stack(column) for column in zip(*steps)], agent.value(observation)


def advantages(rewards, values, last, gamma=0.97, smooth=0.95):
    """Generalized advantage estimates, from the end to the beginning."""
    found, running = torch.zeros_like(rewards), torch.zeros_like(last)
    following = last
    for t in reversed(range(len(rewards))):
        surprise = rewards[t] + gamma * following - values[t]
        running = surprise + gamma * smooth * running
        found[t] = running
        following = values[t]
    return found


def update(agent, optimizer, batch, clip=0.2, epochs=4, batch_size=240):
    observations, actions, log_probs, advantage, returns = batch
    with torch.no_grad():
        old = agent.policy(observations)
    for _ in range(epochs):
        for places in torch.randperm(len(observations)).split(batch_size):
            policy = agent.policy(observations[places])
            ratio = (policy.log_prob(actions[places]) - log_probs[places]).exp()
            gain = advantage[places]
            actor = -torch.min(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain).mean()
            critic = (agent.value(observations[places]) - returns[places]).pow(2).mean()
            loss = actor + 0.5 * critic - 0.001 * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    return kl_divergence(old, agent.policy(observations)).mean().item()


def main():
    torch.manual_seed(1)
    cart = Cart(count=32)
    agent = ActorCritic(cart.observation_size, cart.action_size)
    optimizer = optim.Adam(agent.parameters(), lr=2e-3)
    for iteration in range(12):
        (observations, actions, log_probs, values, rewards), last = rollout(cart, agent)
        advantage = advantages(rewards, values, last)
        returns = advantage + values
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        flat = [x.flatten(0, 1) for x in (observations, actions, log_probs, advantage, returns)]
        moved = update(agent, optimizer, flat)
        print(f"iteration {iteration} moved {moved:.4f}")
        print(f"loss {-rewards.mean().item():.6f}")


if __name__ == "__main__":
    main()
